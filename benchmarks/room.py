"""How much there is to win on a table: each task's best configuration against what a person does without a tuner.

    python benchmarks/room.py [--table benchmarks/metadata/efficientnet-lite0.collection]

A configuration is chosen on one half of the validation images and judged on the other; both roles of the halves are
averaged. The best configuration is shown at equal epochs (any that was trained to R) and at equal seconds (any that
costs no more than the expert's race beside which it stands). Writes ``benchmarks/results/room.json``.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import RESULTS, ROOT, environment, write_json
from scoreboard.by_hand import BY_HAND, EXPERTS_RACE

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.space import config_key
from hyperstar_tune.tables import MetaDataset

RACE_SHARE = 1 / 4  # of R, for each of the two that race
Floats = npt.NDArray[np.float64]


def load(path: Path) -> MetaDataset:
    """A table, or the finished tasks of a collection."""
    if (path / "collection.json").exists():
        return MetaDataset.from_collection(path, complete_only=True)
    return MetaDataset.load(path)


def halves(table: MetaDataset, row: int) -> tuple[Floats, Floats]:
    """Accuracies of a task on the two halves, [H, F]; a diverged run has learned nothing."""
    a, b = (
        np.nan_to_num(table.curve(name)[row, :, 0]).astype(np.float64) for name in ("val_accuracy", "val_accuracy_b")
    )
    return a, b


def seconds(table: MetaDataset, row: int) -> Floats:
    """Seconds until each measured epoch, [H, F]; the table has means over the epochs since the one before."""
    steps = np.diff(table.epochs, prepend=0)
    return np.cumsum(np.nan_to_num(table.curve("epoch_seconds")[row, :, 0]) * steps, axis=1)


def race(chooses: Floats, reports: Floats, cost: Floats, pair: tuple[int, int], at: int) -> tuple[float, float]:
    """Accuracy and seconds of a race of two configurations: both to epoch ``at``, the better one to R."""
    first, second = pair
    winner, loser = (first, second) if chooses[first, at] >= chooses[second, at] else (second, first)
    return float(reports[winner, -1]), float(cost[winner, -1] + cost[loser, at])


def of_task(table: MetaDataset, by_hand: MetaDataset, name: str) -> dict[str, Any]:
    """What the best configuration, the expert and the untuned default reach on a task: points, and seconds."""
    row, hand_row = (found.tasks["name"].tolist().index(name) for found in (table, by_hand))
    place = {config_key(config): column for column, config in enumerate(by_hand.configs)}
    columns = {label: place[config_key(config)] for label, config in BY_HAND.items()}
    at = int(np.searchsorted(by_hand.epochs, RACE_SHARE * by_hand.epochs[-1]))
    cost, hand_cost = seconds(table, row), seconds(by_hand, hand_row)
    values: dict[str, list[tuple[float, float]]] = {}
    for role in (0, 1):
        chooses, reports = halves(table, row)[:: 1 if role == 0 else -1]
        hand_chooses, hand_reports = halves(by_hand, hand_row)[:: 1 if role == 0 else -1]
        best = int(chooses[:, -1].argmax())
        values.setdefault("best", []).append((float(reports[best, -1]), float(cost[best, -1])))
        for label, column in columns.items():
            values.setdefault(label, []).append((float(hand_reports[column, -1]), float(hand_cost[column, -1])))
        for label, (first, second) in EXPERTS_RACE.items():
            found = race(hand_chooses, hand_reports, hand_cost, (columns[first], columns[second]), at)
            values.setdefault(label, []).append(found)
            affordable = np.where(cost[:, -1] <= found[1], chooses[:, -1], -1.0)
            best = int(affordable.argmax())
            values.setdefault(f"best in the seconds of {label}", []).append((float(reports[best, -1]), found[1]))
    means = {label: np.mean(found, axis=0) for label, found in values.items()}
    return {label: {"accuracy": round(100 * a, 2), "seconds": round(s, 1)} for label, (a, s) in means.items()}


def room(tasks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean over tasks of what the best configuration is above the others, in points, with intervals."""
    result = {}
    for label in [*BY_HAND, *EXPERTS_RACE]:
        for best in ["best", *([f"best in the seconds of {label}"] if label in EXPERTS_RACE else [])]:
            gained = [found[best]["accuracy"] - found[label]["accuracy"] for found in tasks.values()]
            result[f"{best} above {label}"] = bootstrap_mean(gained).to_json()
    return result


def main() -> None:
    """Judges the tasks that both tables have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "metadata" / "efficientnet-lite0.collection")
    parser.add_argument("--by-hand", type=Path, default=ROOT / "metadata" / "efficientnet-lite0-by-hand.collection")
    args = parser.parse_args()
    table, by_hand = load(args.table), load(args.by_hand)
    names = [name for name in table.tasks["name"] if name in set(by_hand.tasks["name"])]
    tasks = {name: of_task(table, by_hand, name) for name in names}
    result = {**environment(), "configurations": len(table.configs), "tasks": tasks, "room": room(tasks)}
    for label, interval in result["room"].items():
        print(f"{label:60s} {interval['mean']:+6.2f} [{interval['low']:+.2f}, {interval['high']:+.2f}]")
    write_json(RESULTS / "room.json", result)


if __name__ == "__main__":
    main()
