"""The run of ``own_trainable.py``, watched in TensorBoard and MLflow: Tune's callbacks work beside our scheduler.

``mlflow-skinny`` is enough to log. The pages of ``mlflow ui`` come with ``mlflow``, in any environment.

    pip install mlflow-skinny tensorboard
    python examples/tracking.py
    tensorboard --logdir runs/tracked
    MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri runs/mlflow
"""

import os
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder of files needs no server and no database

from own_trainable import PLAN, SPACE, train
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.logger import TBXLoggerCallback

from hyperstar_tune import PlanScheduler, RandomSearcher

RUNS = Path("runs").absolute()


def main() -> None:
    callbacks: list[tune.Callback] = [TBXLoggerCallback()]  # one of Tune's defaults; needs tensorboardX
    if find_spec("mlflow"):
        where = os.environ.get("MLFLOW_TRACKING_URI", (RUNS / "mlflow").as_uri())
        callbacks.append(MLflowLoggerCallback(tracking_uri=where, experiment_name="digits"))
    else:
        print("MLflow is not installed, so TensorBoard's files are the only ones: pip install mlflow-skinny")
    tune.run(
        tune.with_resources(train, {"cpu": 1}),
        search_alg=RandomSearcher(SPACE, plan=PLAN, seed=0),
        scheduler=PlanScheduler(PLAN),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        reuse_actors=True,
        raise_on_failed_trial=False,
        storage_path=str(RUNS),
        name="tracked",
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    main()
