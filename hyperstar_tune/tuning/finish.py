"""Makes the winner of a run a model: the network of its best epoch, judged, and if asked trained on all images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from platform import python_version
from typing import Any, TypeVar

import ray
import timm
import torch
import torchvision
from torch import Tensor

import hyperstar_tune
from hyperstar_tune.classification import Scores, confusion_matrix, scores_of
from hyperstar_tune.finetune.finished import load_best, save_finished
from hyperstar_tune.finetune.loop import FineTune
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.finetune.trainable import read_best
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["Finished", "Judgement", "save_best", "save_refit", "versions"]

T = TypeVar("T")
_MISTAKES = 50  # the most confident ones that are kept


@dataclass(frozen=True)
class Judgement:
    """How a model does on labelled images."""

    confusion: list[list[int]]  # true classes x decided classes
    mistakes: list[dict[str, Any]]  # image, is, taken_for, probability; the most confident first
    scores: Scores

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, float]], classes: Sequence[str]) -> "Judgement":
        """Judges images, of which each has a name, its class, the class it was taken for, and how probably."""
        rows = list(rows)
        table = confusion_matrix([classes.index(r[1]) for r in rows], [classes.index(r[2]) for r in rows], len(classes))
        keys = ("image", "is", "taken_for", "probability")
        rows.sort(key=lambda row: -row[3])
        wrong = [dict(zip(keys, (*r[:3], round(r[3], 4)), strict=True)) for r in rows if r[1] != r[2]]
        return cls(table.tolist(), wrong[:_MISTAKES], scores_of(table))


@dataclass(frozen=True)
class Finished:
    """The finished model of a run."""

    folder: Path
    epoch: int  # the best epoch, whose parameters the model has
    validation: Judgement
    test: Judgement | None  # None: not judged, or no test images
    about: dict[str, Any]  # the card's entries that ``save_best`` was given


@dataclass(frozen=True)
class _Trained:
    """A network as it comes from where it was trained."""

    state: dict[str, Tensor]
    settings: FineTuneSettings
    normalization: dict[str, tuple[float, ...]]
    epoch: int
    logits: Tensor  # of the validation images, [n, classes]


def save_best(
    folder: Path,
    task: ImageTask,
    config: dict[str, Any],
    settings: FineTuneSettings,
    checkpoint: str,
    *,
    seed: int,
    resources: dict[str, float],
    with_test: bool,
    about: Callable[[Judgement, Judgement | None], dict[str, Any]],
) -> Finished:
    """Writes the model of a trial's best epoch.

    Args:
        folder: Folder of the model, which is replaced.
        task: The images.
        config: The trial's configuration.
        settings: Settings of the run.
        checkpoint: Folder of the trial's checkpoint.
        seed: Random seed of the run.
        resources: Ray's resources of a trial. One with a GPU is needed if trials have one.
        with_test: Whether the test images are judged.
        about: Makes the card's further entries of the judgements of validation and test images.
    """
    trained = _where_trials_run(resources, partial(_best_epoch, task, config, settings, checkpoint, seed))
    shares, decided = trained.logits.softmax(1).max(1)
    names = [task.sources["val"].name(i) for i in range(task.n_val)]
    labels, taken = ([task.classes[i] for i in places] for places in (task.val_labels, decided))
    validation = Judgement.of(zip(names, labels, taken, shares.tolist(), strict=True), task.classes)

    test, entries = None, about(validation, None)
    save_finished(folder, trained.state, trained.settings, trained.normalization, task, entries)
    if with_test and task.test_folder is not None:
        test = judge_test(folder, task)
        entries = about(validation, test)
        save_finished(folder, trained.state, trained.settings, trained.normalization, task, entries)
    return Finished(folder, trained.epoch, validation, test, entries)


def judge_test(folder: Path, task: ImageTask) -> Judgement:
    """How a finished model does on the test images of its task, which decided nothing."""
    model = load_best(folder, "cuda" if torch.cuda.is_available() else "cpu")
    rows = (
        (p.image, truth, p.label, p.probability) for truth, p in model.predict_folder(str(task.test_folder)) if p.label
    )
    return Judgement.of(rows, model.classes)


def save_refit(
    folder: Path,
    task: ImageTask,
    config: dict[str, Any],
    settings: FineTuneSettings,
    epochs: int,
    *,
    seed: int,
    resources: dict[str, float],
    about: dict[str, Any],
) -> None:
    """Trains a configuration once more, on training and validation images together, and writes the model.

    Args:
        folder: Folder of the model, which is replaced.
        task: The images.
        config: The configuration.
        settings: Settings of the run.
        epochs: Epochs to train, under the schedule of the run.
        seed: Random seed of the run.
        resources: Ray's resources of a trial.
        about: The card's further entries.
    """
    trained = _where_trials_run(resources, partial(_on_all_images, task, config, settings, epochs, seed))
    save_finished(folder, trained.state, trained.settings, trained.normalization, task, about)


def versions() -> dict[str, str]:
    """Versions of what made a model."""
    return {
        "hyperstar_tune": hyperstar_tune.__version__,
        "python": python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "ray": ray.__version__,
    }


def _where_trials_run(resources: dict[str, float], work: Callable[[], T]) -> T:
    """Does the work here, or on a node with a GPU if the trials had one."""
    if not resources.get("gpu"):
        return work()
    remote: Any = ray.remote(num_cpus=resources.get("cpu", 1), num_gpus=resources["gpu"])(lambda: work())
    result: T = ray.get(remote.remote())
    return result


def _best_epoch(
    task: ImageTask, config: dict[str, Any], settings: FineTuneSettings, checkpoint: str, seed: int
) -> _Trained:
    run = FineTune(task, config, settings, seed=seed)
    epoch, parameters = read_best(checkpoint)
    run.load_trained_state(parameters)
    return _take(run, epoch)


def _on_all_images(
    task: ImageTask, config: dict[str, Any], settings: FineTuneSettings, epochs: int, seed: int
) -> _Trained:
    run = FineTune(task.with_all_images(), config, replace(settings, evaluate_at=(epochs,)), seed=seed)
    for _ in range(epochs):
        run.train_epoch()
    return _take(run, epochs)


def _take(run: FineTune, epoch: int) -> _Trained:
    state = {name: tensor.detach().cpu().clone() for name, tensor in run.whole_state().items()}
    trained = _Trained(state, run.settings, run.normalization, epoch, run.predict("val"))
    run.close()
    return trained
