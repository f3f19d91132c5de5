"""A LightningModule of your own under our searcher and scheduler.

Ray's callback reports the metric and saves a checkpoint after each epoch. A trial that was paused goes on from it,
because ``fit`` is given its path. Lightning sets no end of its own: the scheduler ends a trial.

    pip install lightning
    python examples/lightning_trainable.py
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import lightning
import torch
from ray import tune
from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from hyperstar_tune import HyperBandPlan, PlanScheduler, RandomSearcher

CHECKPOINT = "trainer.ckpt"


class DigitNetwork(lightning.LightningModule):
    def __init__(self, lr: float, width: int) -> None:
        super().__init__()
        self.lr = lr
        self.network = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        inputs, labels = batch
        return cross_entropy(self.network(inputs), labels)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        inputs, labels = batch
        self.log("val_accuracy", (self.network(inputs).argmax(1) == labels).float().mean())
        self.log("epoch", float(self.current_epoch + 1))  # lets the scheduler notice a trial that begins anew

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def train(config: dict[str, Any]) -> None:
    """Trains for as long as it is asked to."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    trainer = lightning.Trainer(
        max_epochs=-1,
        num_sanity_val_steps=0,
        callbacks=[TuneReportCheckpointCallback(["val_accuracy", "epoch"], filename=CHECKPOINT)],
        enable_checkpointing=False,  # Tune keeps the checkpoints
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        devices=1,
    )
    batches = (
        DataLoader(TensorDataset(inputs[:1200], targets[:1200]), batch_size=64, shuffle=True),
        DataLoader(TensorDataset(inputs[1200:], targets[1200:]), batch_size=1024),
    )
    network = DigitNetwork(config["lr"], config["width"])
    checkpoint = tune.get_checkpoint()  # None at a trial's first start
    if checkpoint is None:
        trainer.fit(network, *batches)
    else:
        with checkpoint.as_directory() as folder:
            trainer.fit(network, *batches, ckpt_path=Path(folder) / CHECKPOINT)


def main() -> None:
    plan = HyperBandPlan(max_epochs=4, eta=2, epoch_budget=8)
    print(plan)
    results = tune.run(
        tune.with_resources(train, {"cpu": 1}),
        search_alg=RandomSearcher(
            {"lr": tune.loguniform(1e-4, 1e-1), "width": tune.choice([32, 128])}, plan=plan, seed=0
        ),
        scheduler=PlanScheduler(plan),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        reuse_actors=True,
        raise_on_failed_trial=False,
        verbose=0,
    )
    best = results.get_best_trial(scope="all")
    print(f"best: {best.config}, accuracy {best.metric_analysis['val_accuracy']['max']:.3f}")


if __name__ == "__main__":
    main()
