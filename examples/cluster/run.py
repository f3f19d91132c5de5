"""A run to submit to a cluster: it fine-tunes on a folder of images, and goes on where a killed driver left off.

    python examples/cluster/run.py --data /shared/flowers --storage /shared/runs --name flowers --gpus-per-trial 0.25

It joins the cluster that RAY_ADDRESS names (`ray job submit` sets it; RAY_ADDRESS=auto: the one on this machine), and
runs on this machine alone if none is named. Started again with the same ``--storage`` and ``--name`` it restores the
run. So submit a preempted job again as it was.
"""

import argparse

from ray import tune

from hyperstar_tune import HyperBandPlan, HyperStarError, HyperStarSearcher, PlanScheduler, finetune
from hyperstar_tune.cluster import join_ray
from hyperstar_tune.report.run import accuracy_of_winner, history_of
from hyperstar_tune.search import make_restorable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", required=True, help="folder of images, one folder per class; the same path on every node"
    )
    parser.add_argument("--storage", required=True, help="folder or URI that every node can write")
    parser.add_argument("--name", default="run")
    parser.add_argument("--predictor", default="mobilenet-v2-64px")
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--weights", default="hub", help="'hub', 'own' (of shufflenet_v2_x1_0) or a file")
    parser.add_argument("--max-epochs", type=int, default=32)
    parser.add_argument("--epoch-budget", type=int, default=0, help="0: one pass over all brackets")
    parser.add_argument("--cpus-per-trial", type=float, default=1)
    parser.add_argument("--gpus-per-trial", type=float, default=0)
    parser.add_argument("--epoch-seconds-limit", type=float, default=1800)
    arguments = parser.parse_args()

    join_ray(log_to_driver=True)
    plan = HyperBandPlan(arguments.max_epochs, 2, arguments.epoch_budget, longest_first=True)
    print(plan)
    trainable = tune.with_resources(
        finetune.trainable(
            arguments.data,
            model=arguments.model,
            weights=arguments.weights,
            max_epochs=arguments.max_epochs,
            epoch_seconds_limit=arguments.epoch_seconds_limit,
        ),
        {"cpu": arguments.cpus_per_trial, "gpu": arguments.gpus_per_trial},
    )
    path = f"{arguments.storage.rstrip('/')}/{arguments.name}"
    if make_restorable(path):
        tuner = tune.Tuner.restore(path, trainable)
    else:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=HyperStarSearcher(task=arguments.data, predictor=arguments.predictor, plan=plan),
                scheduler=PlanScheduler(plan),
                metric="val_accuracy",
                mode="max",
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=arguments.name,
                storage_path=arguments.storage,
                failure_config=tune.FailureConfig(max_failures=3),
            ),
        )
    results = tuner.fit()
    best = results.get_best_result(scope="all")
    print(f"best: {best.config}, checkpoint {best.checkpoint}\n  {accuracy_of_winner(history_of(results))}")


if __name__ == "__main__":
    try:
        main()
    except HyperStarError as error:
        raise SystemExit(f"run.py: {error}") from None
