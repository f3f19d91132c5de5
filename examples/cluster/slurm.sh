#!/bin/bash
# sbatch examples/cluster/slurm.sh DATA STORAGE: a Ray cluster for the time of one job, one Ray a node.
# Killed at its time limit or preempted, it is queued again and goes on from what was saved.
#SBATCH --job-name=hyperstar
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --requeue
set -eu -o pipefail
data=$1 storage=$2

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_ADDRESS="$head:$port"

srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
    ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 20
fi
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  python examples/cluster/run.py --data "$data" --storage "$storage" --name "job-$SLURM_JOB_ID" --gpus-per-trial 0.25
