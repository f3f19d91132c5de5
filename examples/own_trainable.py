"""Your own training loop under our searcher and scheduler: a function, as a template of what its checkpoints must do.

The scheduler pauses a trial at the end of a rung and resumes it if it is promoted, perhaps in another process. So the
function reports a checkpoint with every epoch, and goes on from the one it is given. The network here is a line of
least squares on the scikit-learn digits, so that the example runs in seconds; put yours in its place.

    python examples/own_trainable.py
"""

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import torch
from ray import tune
from sklearn.datasets import load_digits

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher

SPACE = {"lr": tune.loguniform(1e-3, 1.0), "momentum": tune.choice([0.0, 0.5, 0.9])}
PLAN = HyperBandPlan(max_epochs=9, eta=3, epoch_budget=21)  # its first bracket


def train(config: dict[str, Any]) -> None:
    """Trains for as long as it is asked to; the scheduler ends it."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    network = torch.nn.Linear(64, 10)
    optimizer = torch.optim.SGD(network.parameters(), lr=config["lr"], momentum=config["momentum"])
    first_epoch = 1

    checkpoint = tune.get_checkpoint()  # None at a trial's first start
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / "state.pt", weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first_epoch = state["epoch"] + 1

    epoch = first_epoch
    while True:
        for batch in torch.randperm(1200, generator=torch.Generator().manual_seed(epoch)).split(64):
            loss = torch.nn.functional.cross_entropy(network(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = float((network(inputs[1200:]).argmax(1) == targets[1200:]).float().mean())

        with tempfile.TemporaryDirectory() as folder:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
            torch.save(state, Path(folder) / "state.pt")
            tune.report({"val_accuracy": accuracy, "epoch": epoch}, checkpoint=tune.Checkpoint.from_directory(folder))
        epoch += 1


def main() -> None:
    print(PLAN)
    results = tune.run(
        tune.with_resources(train, {"cpu": 1}),
        search_alg=RandomSearcher(SPACE, plan=PLAN, seed=0),
        scheduler=PlanScheduler(PLAN),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        reuse_actors=True,  # a process trains one trial after another
        raise_on_failed_trial=False,
        verbose=0,
    )
    best = results.get_best_trial(scope="all")
    print(f"best: {best.config}, accuracy {best.metric_analysis['val_accuracy']['max']:.3f}")


if __name__ == "__main__":
    main()
