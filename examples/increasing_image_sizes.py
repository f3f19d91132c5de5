"""Searches with growing images, and beside it with large ones alone: the same optimizer, the same number of trials.

Without arguments it trains ``cnn-from-scratch`` on scans of digits that come with scikit-learn, at 16, 32 and 64
pixels. They have 8 x 8 pixels, so that larger images show nothing more: the example shows the time. Take images of your
own to see the accuracy:

    python examples/increasing_image_sizes.py
    python examples/increasing_image_sizes.py --data path/to/images --sizes 32 --sizes 64 --sizes 128 --trials 30
    python examples/increasing_image_sizes.py --data torchvision:STL10/fold0 --optimizer smac
"""

import os
import time
from pathlib import Path
from typing import Annotated

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's own table would draw over the progress bar

import ray
import typer
from ray import tune
from ray.tune.search import Searcher
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hyperstar_tune import HyperStarError, ImageTask, IncreasingImageSizes, finetune
from hyperstar_tune.rivals.optimizers import OPTIMIZERS, optimizer

console = Console(highlight=False, markup=False, soft_wrap=True)


class TrialProgress(tune.Callback):
    """Counts trials that have ended, and shows the image size and the best accuracy so far."""

    def __init__(self, name: str, n_trials: int) -> None:
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar: Progress | None = Progress(*columns, TextColumn("{task.description}"), console=console)
        self._row = self._bar.add_task("", total=n_trials)
        self._bar.start()
        self.best: dict[int, tuple[float, float]] = {}  # image size -> best accuracy on half A, and on half B then
        self.best_config: dict[str, object] = {}

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        """Notes the best accuracy at every image size."""
        size, found = trial.config["image_size"], (result["val_accuracy"], result["val_accuracy_b"])
        if found[0] >= 0 and found > self.best.get(size, (-1.0, -1.0)):
            self.best[size] = found
            self.best_config = dict(trial.config)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        """Moves the bar."""
        if self._bar is not None:
            size = trial.config["image_size"]
            text = f"{size} px, best accuracy {self.best.get(size, (0.0,))[0]:.3f}"
            self._bar.update(self._row, advance=1, description=text)

    def stop(self) -> None:
        """Leaves the bar standing."""
        if self._bar is not None:
            self._bar.stop()

    def __getstate__(self):
        return {**self.__dict__, "_bar": None}  # a live display does not travel


def search(name: str, trainable: type, searcher: Searcher, n_trials: int, out: Path) -> tuple[float, TrialProgress]:
    """Runs a search; gives its seconds and what it found."""
    progress = TrialProgress(name, n_trials)
    start = time.perf_counter()
    tune.run(
        trainable,
        search_alg=searcher,
        metric="val_accuracy",
        mode="max",
        num_samples=n_trials,
        stop={"training_iteration": trainable.settings.max_epochs},
        reuse_actors=True,
        raise_on_failed_trial=False,
        storage_path=str(out.resolve()),
        name=name.replace(" ", "-"),
        callbacks=[progress],
        verbose=0,
    )
    progress.stop()
    return time.perf_counter() - start, progress


def digits() -> ImageTask:
    """599 of the scikit-learn digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    return ImageTask.from_arrays("digits", pixels[::3], labels[::3])


def main(
    data: Annotated[str | None, typer.Option(help="Folder of images, or torchvision:NAME.")] = None,
    sizes: Annotated[list[int] | None, typer.Option(help="Image sizes, growing. [default: 16, 32, 64]")] = None,
    trials: Annotated[int, typer.Option(help="Trials of each of the two searches.")] = 18,
    max_epochs: Annotated[int, typer.Option(help="Epochs of a trial.")] = 12,
    name: Annotated[str, typer.Option("--optimizer", help=f"One of {', '.join(OPTIMIZERS)}.")] = "tpe",
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/image-sizes"),
    seed: int = 0,
) -> None:
    """Compares a search at the largest size with one at growing sizes."""
    grown = tuple(sizes or (16, 32, 64))
    largest = grown[-1:]
    try:
        task = ImageTask.of(data) if data else digits()
        trainable = finetune.trainable(
            task,
            model="cnn-from-scratch",
            image_size=largest[0],
            image_sizes=grown,
            max_epochs=max_epochs,
            schedule="constant",
            patience=5,
            validation="halves",
            seed=seed,
        )
        searchers = {
            kind: IncreasingImageSizes(
                optimizer(name, seed),
                space="cnn-from-scratch",
                sizes=chosen,
                trials=trials,
                metric="val_accuracy",
                mode="max",
            )
            for kind, chosen in (("growing sizes", grown), ("one size", largest))
        }
    except HyperStarError as error:
        raise SystemExit(f"increasing_image_sizes: {error}") from None
    console.print(f"{task.summary()}\n{name}, {trials} trials each; growing sizes {grown}, one size {largest[0]}\n")

    ray.init(address="local", log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    found = {kind: search(kind, trainable, searcher, trials, out) for kind, searcher in searchers.items()}
    console.print()
    for kind, (seconds, progress) in found.items():
        half_a, half_b = progress.best.get(largest[0], (float("nan"), float("nan")))
        console.print(
            f"{kind:<14} {seconds:6.1f} s   accuracy at {largest[0]} px: {half_a:.3f} on the half that decided, "
            f"{half_b:.3f} on the other"
        )
    (grown_s, _), (one_s, _) = found["growing sizes"], found["one size"]
    console.print(f"Time saved: {100 * (1 - grown_s / one_s):.0f} %. What matters: hyperstar importance {out}/one-size")


if __name__ == "__main__":
    typer.run(main)
