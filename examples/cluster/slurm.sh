#!/bin/bash
# sbatch examples/cluster/slurm.sh DATA STORAGE --hours 16 [MORE OPTIONS OF hyperstar tune]: a Ray cluster for the time of one
# job, one Ray a node.
# Several trials share a GPU unless the options say otherwise, as --gpus-per-trial 1 does, or 0 where there is no GPU.
# Two minutes before its time limit it queues itself again, preempted or with a node lost Slurm does (--requeue), if the
# cluster allows it. It goes on from what was saved: its number, and so the run's name, stay the same.
#SBATCH --job-name=hyperstar
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -eu -o pipefail
[ $# -ge 3 ] || { echo "usage: sbatch examples/cluster/slurm.sh DATA STORAGE --hours 16 [MORE OPTIONS]" >&2; exit 2; }
data=$1 storage=$2
shift 2
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts[0]}
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_ADDRESS="$head:$port"
# All nodes and the run send one token, whatever lies in the home folders of the nodes: others cannot join the cluster.
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}
export RAY_AUTH_TOKEN=${RAY_AUTH_TOKEN:-$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')}
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # which srun has not taken from sbatch since Slurm 22.05

srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
    ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 20
fi
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  hyperstar tune "$data" --out "$storage/job-$SLURM_JOB_ID" --resume --gpus-per-trial 0.25 "$@" &
wait $! # in the background, since bash answers a signal only between commands or in a wait
