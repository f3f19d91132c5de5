"""Our ranking as the first guesses of another optimizer.

OptunaSearch begins with the top of the ranking and then goes its own way. ASHA ends weak trials early.

    pip install optuna
    python examples/optuna_asha.py
"""

import os

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from sklearn.datasets import load_digits

from hyperstar_tune import ImageTask, Predictor, finetune
from hyperstar_tune.search import to_ray

MAX_EPOCHS = 4


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    task = ImageTask.from_arrays("digits", pixels[:300], labels[:300])

    predictor = Predictor.load("shufflenet-v2-x1-64px")  # for the network that is trained below
    ranking = predictor.rank(task)
    print(ranking.table(3))
    results = tune.run(
        finetune.trainable(task, model="torchvision/shufflenet_v2_x1_0", weights="own", max_epochs=MAX_EPOCHS),
        search_alg=OptunaSearch(
            to_ray(predictor.space),
            points_to_evaluate=ranking.top(3),  # tried first, in this order
            metric="val_accuracy",
            mode="max",
            seed=0,
        ),
        scheduler=ASHAScheduler("training_iteration", "val_accuracy", "max", max_t=MAX_EPOCHS),
        num_samples=5,
        reuse_actors=True,
        raise_on_failed_trial=False,
        verbose=0,
    )
    print("\naccuracy  configuration, in the order in which Optuna suggested them")
    for trial in results.trials:
        values = ", ".join(f"{name}={value}" for name, value in sorted(trial.config.items()))
        print(f"   {trial.metric_analysis['val_accuracy']['max']:.3f}  {values}")


if __name__ == "__main__":
    main()
