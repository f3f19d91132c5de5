"""How good the winner of a run really is: its plain accuracy, and what ``chosen_accuracy`` makes of it.

    python benchmarks/choosing.py [--table benchmarks/metadata/mobilenet-v2-64px]

Real curves do not tell the truth about a winner, so runs are simulated. Each task keeps its recorded accuracies,
smoothed over three evaluations, as the truth of every configuration and epoch. Validation images are drawn anew for
every run. How hard an image is has three random parts: one for all configurations, one for each configuration, and one
for each epoch. How much each counts is read off the table: by how much the two halves of the validation images differ
in the same direction for two configurations, and for two epochs of one. On such images the very classes of a run are
replayed (``search/``), so that what was chosen on the way was chosen on them too.

Writes ``benchmarks/results/choosing.json``: by method and number of images the bias of each figure in points, with the
standard error of the simulation, and how often the interval covers the truth.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import RESULTS, about_table, environment, write_json
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from hyperstar_tune.choosing import chosen_accuracy
from hyperstar_tune.comparison.methods import Setting, make_method
from hyperstar_tune.comparison.sweeping import run_method
from hyperstar_tune.plan import HyperBandPlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.simulation.curves import TaskCurves
from hyperstar_tune.tables.metadataset import MetaDataset

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

METHODS = (("hyperband", 2.5), ("plus_average+alone", 2.5), ("plus_average+alone", 4.5))  # and budget, in R
PARTS = {"all validation images": 1, "a third of them": 3}
FEWEST = 30  # images
_GOOD, _LATE = 30, 8  # configurations and last evaluations by which images are compared
_BOOTSTRAPS = 200


def both_halves(table: MetaDataset) -> tuple[Floats, Floats]:
    """Accuracies on the two halves, [T, H, F]."""
    a, b = (table.curve(name)[:, :, 0].astype(np.float64) for name in ("val_accuracy", "val_accuracy_b"))
    return a, b


def shared_luck(table: MetaDataset) -> tuple[float, float]:
    """Correlation of being right on an image between two configurations, and between two epochs of one.

    If the halves of n images differ by more than their images' chance, they do so together in as far as configurations
    are right on the same images.
    """
    other, own, variance = [], [], []
    for a, b, n in zip(*both_halves(table), table.tasks["n_val"], strict=True):
        good = np.argsort(-np.nan_to_num((a + b).mean(axis=1)))[:_GOOD]
        late_a, late_b = a[good, -_LATE:], b[good, -_LATE:]
        if not (np.isfinite(late_a).all() and np.isfinite(late_b).all()):
            continue
        mean = np.clip((late_a + late_b) / 2, 0.01, 0.99)
        z = (late_a - late_b) / np.sqrt(4 * mean * (1 - mean) / n)  # deviation 1 if an image says nothing of another
        of_config = z.sum(axis=1)
        variance.append((z**2).mean())
        own.append(((of_config**2).sum() - (z**2).sum()) / (_GOOD * _LATE * (_LATE - 1)))
        other.append((z.sum() ** 2 - (of_config**2).sum()) / (_GOOD * (_GOOD - 1) * _LATE**2))
    return float(np.mean(other) / np.mean(variance)), float(np.mean(own) / np.mean(variance))


def hidden(correlation: float, share: float) -> float:
    """Correlation of two normal numbers that are both below their quantile of ``share`` as often as asked for."""

    def missing(rho: float) -> float:
        point = norm.ppf(share)
        both = multivariate_normal.cdf([point, point], cov=[[1, rho], [rho, 1]])
        return float((both - share**2) / (share * (1 - share)) - correlation)

    return float(brentq(missing, 0.0, 0.999))


def smoothed(a: Floats, b: Floats) -> Floats:
    """What is taken for the truth: the mean of the halves over three evaluations, [H, F]."""
    padded = np.pad(np.nan_to_num((a + b) / 2), ((0, 0), (1, 1)), mode="edge")
    return np.clip((padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3, 0.01, 0.995)


def draw_images(truth: Floats, n: int, weights: tuple[float, float], rng: np.random.Generator) -> Bools:
    """Which of n new images each configuration has right at each evaluation, [H, F, n]."""
    of_image, of_config = weights
    shape = (*truth.shape, n)
    hardness = (
        np.sqrt(of_image) * rng.standard_normal(n, dtype=np.float32)
        + np.sqrt(of_config) * rng.standard_normal((shape[0], 1, n), dtype=np.float32)
        + np.sqrt(1 - of_image - of_config) * rng.standard_normal(shape, dtype=np.float32)
    )
    return np.asarray(hardness < norm.ppf(truth)[:, :, None])


def evaluated(segments: Floats, epochs: npt.NDArray[np.integer[Any]]) -> tuple[list[int], list[int]]:
    """Rows and evaluations of a run's results, in order."""
    found = [
        (int(row), place)
        for row, before, after, _ in segments
        for place, epoch in enumerate(epochs)
        if before < epoch <= after
    ]
    rows, places = zip(*found, strict=True)
    return list(rows), list(places)


def bootstrapped(right: Bools, rng: np.random.Generator) -> float:
    """The correction as published: choose on a bootstrap sample of the images, judge on those that it left out."""
    n = right.shape[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), size=_BOOTSTRAPS).astype(np.float32)  # [B, n]
    chosen = right[(right.astype(np.float32) @ counts.T).argmax(axis=0)]  # [B, n]
    left_out = counts == 0
    return float(((chosen & left_out).sum(axis=1) / left_out.sum(axis=1)).mean())


def main() -> None:
    """Simulates, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("benchmarks/metadata/mobilenet-v2-64px"))
    parser.add_argument("--runs", type=int, default=40, help="simulated runs per task, method and number of images")
    arguments = parser.parse_args()
    table = MetaDataset.load(arguments.table)
    other, own = shared_luck(table)
    halves = both_halves(table)
    typical = float(np.mean([smoothed(a, b)[:, -1].max() for a, b in zip(*halves, strict=True)]))
    weights = hidden(other, typical), hidden(own, typical) - hidden(other, typical)
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    for name, a, b, n_val in zip(table.tasks["name"], *halves, table.tasks["n_val"], strict=True):
        curves, truth = TaskCurves.of(table, name), smoothed(a, b)
        ranking = average_without(table, curves)
        held = np.searchsorted(table.epochs, np.arange(1, table.epochs[-1] + 1), side="right") - 1
        for part, divisor in PARTS.items():
            for seed in range(arguments.runs):
                right = draw_images(truth, max(FEWEST, int(n_val) // divisor), weights, rng)
                seen = replace(curves, accuracy=right.mean(axis=2)[:, held].astype(np.float64))
                for method, budget in METHODS:
                    plan = HyperBandPlan(curves.max_epochs, 2, int(budget * curves.max_epochs))
                    run = run_method(make_method(method), seen, Setting(table.space, plan, seed, ranking))
                    places = evaluated(run.segments, table.epochs)
                    key = f"{method} at {budget:g} R, {part}"
                    found.setdefault(key, {}).setdefault(name, []).append(judged(right[places], truth[places], rng))
        print(f"{name} done", flush=True)
    result = {
        **environment(),
        "table": about_table(table, arguments.table),
        "runs_per_task": arguments.runs,
        "correlation_of_right_images": {"two configurations": round(other, 3), "two epochs": round(own, 3)},
        "methods": {key: summed_up(of) for key, of in found.items()},
    }
    for key, of in result["methods"].items():
        biases = "  ".join(f"{kind} {value['mean']:+.2f} ({value['error']:.2f})" for kind, value in of["bias"].items())
        print(f"{key:60s} {biases}  covered {100 * of['covered']:.1f} %")
    write_json(RESULTS / "choosing.json", result)


def average_without(table: MetaDataset, curves: TaskCurves) -> Ranking:
    """A ranking for a task from the other families."""
    known = table.without(curves.family)
    return Ranking.of(table.configs, np.nanmean(known.steady_scores(), axis=0))


def judged(right: Bools, truth: Floats, rng: np.random.Generator) -> tuple[float, ...]:
    """Errors in points of the plain figure, the corrected one and the bootstrap's, luck, whether the interval covers.

    Luck is how easy the drawn images are for all results together. It is taken off the errors: it is 0 on average, and
    without it fewer runs tell as much.
    """
    figure, winner = chosen_accuracy(right), int(right.sum(axis=1).argmax())
    luck = right.mean() - truth.mean()
    figures = (figure.plain, figure.corrected, bootstrapped(right, rng))
    return (
        *(100 * (value - truth[winner] - luck) for value in figures),
        100 * luck,
        float(figure.low <= truth[winner] <= figure.high),
    )


def summed_up(of: dict[str, list[tuple[float, ...]]]) -> dict[str, Any]:
    """Means over all runs, and the standard error of the simulation."""
    values = np.array([row for rows in of.values() for row in rows])
    kinds = ("plain", "corrected", "bootstrap")
    error = values.std(axis=0) / np.sqrt(len(values))
    return {
        "bias": {
            kind: {
                "mean": round(float(values[:, place].mean()), 3),
                "error": round(float(error[place]), 3),
                "spread": round(float((values[:, place] + values[:, 3]).std()), 2),  # of the figure itself
            }
            for place, kind in enumerate(kinds)
        },
        "covered": round(float(values[:, -1].mean()), 4),
        "bias_by_task": {name: np.round(np.mean(rows, axis=0)[:3], 2).tolist() for name, rows in of.items()},
    }


if __name__ == "__main__":
    main()
