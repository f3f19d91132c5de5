"""Draws the pictures of docs/concepts.md into docs/images/, from the library's own objects.

    python docs/draw_concepts.py

The race is a replay on recorded curves of a task whose family the ranking was not learned from. The other picture of a
ranking is of the shipped predictor. Only the choice of the tasks is ours. The same files come out again, to the byte.
"""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperstar_tune import HyperBandPlan, MetaDataset, Predictor, RacePlan
from hyperstar_tune.comparison import LooScores, Setting, make_method, run_method
from hyperstar_tune.predictor import PlusPredictor
from hyperstar_tune.simulation import TaskCurves
from hyperstar_tune.space import Config

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "images"
PREDICTOR, RACED = "mobilenet-v2-64px", "arabic_handwritten_chars@small"
RANKED = ("cifar10@large", "rice_leaf_disease@small")  # what deep layers bring differs most between these two
MAX_EPOCHS, BUDGET = 32, 136
N_PLACES = 10


def main() -> None:
    mpl.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "concepts", "font.size": 9, "font.family": "sans-serif"}
    )
    predictor = Predictor.load(PREDICTOR)
    assert isinstance(predictor, PlusPredictor)
    for name, figure in (
        ("race", draw_race()),
        ("hyperband", draw_hyperband(HyperBandPlan(max_epochs=27))),
        ("ranking", draw_ranking(predictor)),
    ):
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def traits_of_known(predictor: PlusPredictor, task: str) -> np.ndarray:
    """The traits [D] of a task that the predictor was trained on, as they were measured."""
    place = [known["name"] for known in predictor.card["tasks"]].index(task)
    return predictor.model.known[place] * predictor.model.scale + predictor.model.shift


def draw_race() -> Figure:
    """A race and what follows it, trial by trial, on one worker."""
    table = MetaDataset.load(ROOT / "benchmarks" / "metadata" / PREDICTOR)
    scores = LooScores.load(ROOT / "benchmarks" / "metadata" / f"loo_scores_{PREDICTOR}.parquet", table.configs)
    curves = TaskCurves.of(table, RACED)
    ranking = scores.ranking("hyperstar_plus", RACED, seed=0)
    plan = RacePlan(max_epochs=MAX_EPOCHS, epoch_budget=BUDGET)
    setting = Setting(table.space, HyperBandPlan(MAX_EPOCHS, 2, BUDGET), 0, ranking, table.without(curves.family))
    run = run_method(make_method("race"), curves, setting)

    figure = Figure(figsize=(7.2, 3.2))
    axes = figure.add_subplot()
    axes.axvspan(0, 2 * plan.race_epochs, color="0.93")
    spent, lines = 0, {}  # of each configuration: where its curve is drawn, the place of each epoch and its accuracy
    for row, before, after, _ in run.segments.astype(int):
        at, accuracy = lines.setdefault(row, ([], []))
        if at and at[-1] != spent:  # a gap where another one trains
            at.append(np.nan)
            accuracy.append(np.nan)
        at += range(spent + 1, spent + 1 + after - before)
        accuracy += (100 * curves.accuracy[row, before:after]).tolist()
        spent += after - before
    for place, line in enumerate(lines.values(), start=1):
        axes.plot(*line, lw=1.4)
        axes.annotate(f"{place}", (line[0][0], line[1][0]), xytext=(3, -9), textcoords="offset points", fontsize=8)
    best = 100 * run.incumbent.accuracy
    axes.plot(np.arange(1, len(best) + 1), best, color="black", lw=1, ls=":", drawstyle="steps-post")
    axes.text(BUDGET, best[-1] + 1, "best so far", ha="right", va="bottom")
    finish = plan.brackets[0].epochs
    for start, end, text in (
        (0, 2 * plan.race_epochs, "the race"),
        (2 * plan.race_epochs, finish, "the better one\ngoes on to R"),
        (finish, BUDGET, "then down the ranking, each to R"),
    ):
        axes.text((start + end) / 2, 99, text, ha="center", va="top")
    axes.set(xlabel="epochs spent", ylabel="validation accuracy, %", xlim=(0, BUDGET), ylim=(0, 100))
    return plain(figure, [axes])


def draw_hyperband(plan: HyperBandPlan) -> Figure:
    """The brackets of a plan: a box is a rung, as wide as its epochs and as high as its configurations."""
    figure = Figure(figsize=(7.2, 3.0))
    all_axes = figure.subplots(1, len(plan.brackets), sharey=True)
    for number, (axes, bracket) in enumerate(zip(all_axes, plan.brackets, strict=True), start=1):
        start = 0
        for rung in bracket.rungs:
            axes.bar(start, rung.n_configs, rung.epochs - start, align="edge", color="C0", alpha=0.35, edgecolor="C0")
            axes.text(
                (start + rung.epochs) / 2, rung.n_configs, f"{rung.n_configs}", ha="center", va="bottom", fontsize=8
            )
            start = rung.epochs
        axes.set(title=f"bracket {number}\n{bracket.epochs} epochs", xlabel="epoch", xlim=(-0.5, plan.max_epochs + 0.5))
        axes.set_xticks([rung.epochs for rung in bracket.rungs][-2:])
    all_axes[0].set_ylabel("configurations that train")
    figure.tight_layout()
    return plain(figure, all_axes)


def draw_ranking(predictor: PlusPredictor) -> Figure:
    """The first places of the average ranking, and where two tasks' traits move them."""
    configs, model = predictor.space.grid(), predictor.model
    average = np.argsort(-predictor.scores(model.shift, configs)[0], kind="stable")
    figure = Figure(figsize=(7.2, 3.6))
    traits_axes, axes = figure.subplots(1, 2, width_ratios=(1, 2.4))
    heights = np.arange(len(model.shift))
    for number, task in enumerate(RANKED):
        traits = traits_of_known(predictor, task)
        standard = (traits - model.shift) / model.scale
        traits_axes.barh(heights + 0.35 * number, standard, 0.33, color=f"C{number}", label=task)
        ranked = np.argsort(-predictor.scores(traits, configs)[0], kind="stable")
        places = {config: place for place, config in enumerate(ranked.tolist(), start=1)}
        for place, config in enumerate(average[:N_PLACES].tolist(), start=1):
            now = min(places[config], N_PLACES + 1)
            axes.plot([0, 1], [place, now + 0.12 * number], color=f"C{number}", lw=1.3, marker="o", ms=3, alpha=0.9)
    for place, config in enumerate(average[:N_PLACES].tolist(), start=1):
        axes.text(-0.05, place, f"{words(configs[config])}  {place}", ha="right", va="center", fontsize=7)
    axes.set(title="place: average, and for these images", ylim=(N_PLACES + 1.7, 0.4), xlim=(-0.02, 1.1))
    axes.set_xticks([0, 1], ["on average", "for the task"])
    axes.yaxis.tick_right()
    axes.set_yticks([*range(1, N_PLACES + 1), N_PLACES + 1], [*map(str, range(1, N_PLACES + 1)), "later"])
    traits_axes.axvline(0, color="0.4", lw=0.8)
    names = [name.replace("probe_", "").replace("_", "\n") for name in predictor.card["traits"]]
    traits_axes.set_yticks(heights + 0.17, names)
    traits_axes.set(title="traits of the images", xlabel="deviations from the mean")
    traits_axes.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.subplots_adjust(wspace=0.95)
    return plain(figure, [traits_axes, axes])


def words(config: Config) -> str:
    return f"{config['layers'].replace('_', ' ')}, {config['optimizer']} {config['lr']:g}, {config['augmentation']}"


def plain(figure: Figure, all_axes: Iterable[Axes]) -> Figure:
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
