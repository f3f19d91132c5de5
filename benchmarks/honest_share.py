"""How far what images say, and how far scores are off, hold on new families and on another network.

    python benchmarks/honest_share.py

On families that were left out, the correction of HyperSTAR+ by images is held against what it predicts: how scores of a
task differ from the average ones. Its least-squares factor says which share of it should be kept. Intervals that the
spread of a score gives are counted: 50 % and 90 % of scores should lie inside.

The same is done across networks: learned on one table, judged on the other one's tasks, whose family is left out of
learning too. What must be added to the spread there is learned in one direction and judged in the other. Two tasks of a
third network are judged beside them. No image is needed. Writes ``benchmarks/results/honest_share.json``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from _common import RESULTS, ROOT, about_table, environment, write_json
from any_space import SETTINGS, World, of_task
from scipy.stats import norm
from task_traits import TRAITS_FILE

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.predictor.kept import OTHER_NETWORK, factor_of
from hyperstar_tune.predictor.plus import fit_plus, leave_out_error
from hyperstar_tune.predictor.targets import CURVES, READINGS, default_curve, robust_scores
from hyperstar_tune.space import config_key
from hyperstar_tune.tables import MetaDataset

TABLES = ("mobilenet-v2-64px", "shufflenet-v2-x1-v0")
THIRD = "efficientnet-lite0-64px.collection"  # the same grid on another network, on a few tasks
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
INTERVALS = (0.5, 0.9)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One task that was ranked by a model that had not seen its family."""

    name: str
    family: str
    truth: Floats  # accuracies, [H]
    target: Floats  # what scores predict, [H]
    mean: Floats  # scores without images, [H]
    correction: Floats  # by images, [H]
    spread: Floats  # [H]
    distance: float  # to the nearest known task, in units of the reach


def judged(known: World, table: MetaDataset, truth: Floats, targets: Floats, traits: pd.DataFrame) -> list[Judged]:
    """The tasks of a table, each ranked by what the other families of ``known`` tell."""
    places = {config_key(config): place for place, config in enumerate(known.table.configs)}
    order = [places[config_key(config)] for config in table.configs]
    groups, found = np.array(known.measured.families), []
    for row, task in enumerate(table.tasks.to_dict("records")):
        kept = groups != task["family"]
        own, families = known.measured.part(kept, np.ones(len(known.thirds), dtype=bool)), groups[kept].tolist()
        model = fit_plus(own.targets, own.traits, families, SETTINGS.penalty)
        error = leave_out_error(own.targets, own.traits, families, SETTINGS.penalty)
        of_task = traits.loc[task["name"], list(SETTINGS.traits)].to_numpy(dtype=np.float64)
        found.append(
            Judged(
                task["name"],
                task["family"],
                truth[row],
                targets[row],
                model.mean[order],
                model.moves(of_task).sum(axis=0)[order],
                error[order],
                float(model.distances(of_task).min() / model.reach),
            )
        )
    return found


def by_family(tasks: Sequence[Judged], value: Any) -> Floats:
    """Mean of a value of tasks over each family."""
    of: dict[str, list[Any]] = {}
    for task in tasks:
        of.setdefault(task.family, []).append(value(task))
    return np.array([np.mean(values, axis=0) for values in of.values()])


def gains(tasks: Sequence[Judged]) -> dict[str, Any]:
    """What rankings gain by each share of the corrections, against none of them."""
    found: dict[str, Any] = {}
    measures = ("quality", "points_at_3")

    def judge(share: float) -> Floats:
        return by_family(
            tasks, lambda task: [of_task(task.truth, task.mean + share * task.correction)[key] for key in measures]
        )

    without = judge(0.0)
    for share in SHARES:
        values = judge(share)
        found[f"{share:g}"] = {
            name: {"mean": round(float(values[:, place].mean()), 4)}
            | {"above_no_images": bootstrap_mean(values[:, place] - without[:, place]).to_json()}
            for place, name in enumerate(measures)
        }
    return found


def coverage(tasks: Sequence[Judged], share: float, more: float = 0.0) -> dict[str, float]:
    """Shares of scores inside their intervals, all and the first ten of each ranking; and how far scores are off."""

    def inside(task: Judged) -> list[float]:
        scores = task.mean + share * task.correction
        off = np.abs(task.target - scores) / np.hypot(task.spread, more)
        best = np.argsort(-scores, kind="stable")[:10]
        bounds = [norm.ppf((1 + interval) / 2) for interval in INTERVALS]
        return [*((off < bound).mean() for bound in bounds), *((off[best] < bound).mean() for bound in bounds)]

    names = [f"{interval:.0%}{of}" for of in ("", " of the first ten") for interval in INTERVALS]
    means = by_family(tasks, inside).mean(axis=0)
    errors = by_family(tasks, lambda task: np.mean((task.target - task.mean - share * task.correction) ** 2))
    spreads = by_family(tasks, lambda task: np.mean(task.spread**2 + more**2))
    found = {name: round(float(mean), 3) for name, mean in zip(names, means, strict=True)}
    return found | {"error": round(float(errors.mean() ** 0.5), 3), "spread": round(float(spreads.mean() ** 0.5), 3)}


def error_beside_spread(tasks: Sequence[Judged]) -> float:
    """Deviation of scores without images that their spread lacks."""
    off = by_family(tasks, lambda task: np.mean((task.target - task.mean) ** 2 - task.spread**2))
    return float(max(off.mean(), 0.0) ** 0.5)


def told(tasks: Sequence[Judged]) -> dict[str, Any]:
    """The factor of corrections, what each share of them gains, and coverage with and without them."""
    factor = factor_of(
        [task.correction for task in tasks],
        [task.target - task.mean for task in tasks],
        [task.family for task in tasks],
    )
    middle = np.median([task.distance for task in tasks])
    parts = {
        "nearer half": [task for task in tasks if task.distance <= middle],
        "farther half": [task for task in tasks if task.distance > middle],
    }
    halves = {
        name: factor_of([t.correction for t in part], [t.target - t.mean for t in part], [t.family for t in part])
        for name, part in parts.items()
        if part
    }
    return {
        "tasks": len(tasks),
        "families": len({task.family for task in tasks}),
        "factor": {**rounded(factor._asdict()), "kept": round(factor.kept, 3)},
        "factor_by_distance": {name: rounded(half._asdict()) for name, half in halves.items()},
        "by_share": gains(tasks),
        "coverage": {"all of the images": coverage(tasks, 1.0), "without images": coverage(tasks, 0.0)},
    }


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def third_network(known: World, traits: pd.DataFrame) -> dict[str, Any]:
    """The complete tasks of another network, too few for intervals."""
    table = MetaDataset.from_collection(ROOT / "metadata" / THIRD, complete_only=True)
    truth = CURVES[default_curve(table)](table)
    targets = robust_scores(truth, [READINGS[name] for name in SETTINGS.readings])
    tasks = judged(known, table, truth, targets, traits)
    return {
        "table": about_table(table, THIRD),
        "coverage": {
            "without images": coverage(tasks, 0.0),
            "without images, by the rule": coverage(tasks, OTHER_NETWORK.share, OTHER_NETWORK.error),
        },
        "points_at_3": {
            task.name: {
                label: round(of_task(task.truth, task.mean + share * task.correction)["points_at_3"], 2)
                for label, share in (("without images", 0.0), ("with images", 1.0))
            }
            for task in tasks
        },
    }


def main() -> None:
    """Judges within and across the tables and writes the JSON file."""
    traits = pd.read_parquet(TRAITS_FILE)
    worlds = {name: World(name, traits) for name in TABLES}
    result: dict[str, Any] = {**environment(), "rule": OTHER_NETWORK._asdict(), "own_network": {}, "other_network": {}}
    across = {}
    for name, world in worlds.items():
        for known, learned in worlds.items():
            tasks = judged(learned, world.table, world.truth, world.measured.targets, traits)
            if known == name:
                result["own_network"][name] = told(tasks)
            else:
                across[known, name] = tasks
    for (known, name), tasks in across.items():
        found = told(tasks)
        found["error_beside_spread"] = round(error_beside_spread(tasks), 3)
        other = error_beside_spread(across[name, known])  # learned in the other direction
        found["coverage"]["without images, spread learned in the other direction"] = coverage(tasks, 0.0, other)
        found["coverage"]["by the rule"] = coverage(tasks, OTHER_NETWORK.share, OTHER_NETWORK.error)
        result["other_network"][f"{known}, judged on {name}"] = found
    result["third_network"] = third_network(worlds[TABLES[0]], traits)
    write_json(RESULTS / "honest_share.json", result)
    for kind in ("own_network", "other_network"):
        for name, found in result[kind].items():
            print(f"{name}: factor {found['factor']}")
            for label, covered in found["coverage"].items():
                print(f"  {label}: {covered}")


if __name__ == "__main__":
    main()
