"""How much there is to win on a table: each task's best configuration against what a person does without a tuner.

    python benchmarks/room.py [--table benchmarks/metadata/efficientnet-lite0.collection] [--name room]

A configuration is chosen on one half of the validation images and judged on the other; both roles of the halves are
averaged. The best configuration is shown at equal epochs (any that was trained to R) and at equal seconds (any that
costs no more than the expert's race beside which it stands). "One for all" is the configuration with the best mean on
the other tasks: what is left between it and the best is what only a look at the task can win. A table that is not
complete is judged by the configurations that a task has. Writes ``benchmarks/results/NAME.json``.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import RESULTS, ROOT, environment, write_json
from scoreboard.by_hand import BY_HAND, EXPERTS_RACE, load
from scoreboard.table_surrogate import trained

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.space import config_key
from hyperstar_tune.tables import MetaDataset

RACE_SHARE = 1 / 4  # of R, for each of the two that race
LEAST = 16  # configurations that a task must have
Floats = npt.NDArray[np.float64]


def halves(table: MetaDataset, row: int) -> tuple[Floats, Floats]:
    """Accuracies of a task on the two halves, [H, F]; what diverged or was not measured has learned nothing."""
    a, b = (
        np.nan_to_num(table.curve(name)[row, :, 0]).astype(np.float64) for name in ("val_accuracy", "val_accuracy_b")
    )
    return a, b


def seconds(table: MetaDataset, row: int) -> Floats:
    """Seconds until each measured epoch, [H, F], from means since the one before; infinite where nobody measured."""
    steps = np.diff(table.epochs, prepend=0)
    return np.cumsum(np.nan_to_num(table.curve("epoch_seconds")[row, :, 0], nan=np.inf) * steps, axis=1)


def race(chooses: Floats, reports: Floats, cost: Floats, pair: tuple[int, int], at: int) -> tuple[float, float]:
    """Accuracy and seconds of a race of two configurations: both to epoch ``at``, the better one to R."""
    first, second = pair
    winner, loser = (first, second) if chooses[first, at] >= chooses[second, at] else (second, first)
    return float(reports[winner, -1]), float(cost[winner, -1] + cost[loser, at])


def one_for_all(table: MetaDataset, rows: list[int], row: int) -> Floats:
    """Mean over the other tasks of both halves' accuracies added up, [H]; -1 for what some task lacks."""
    others = np.array([sum(halves(table, other))[:, -1] for other in rows if other != row])
    return np.where(trained(table)[rows].all(axis=0), others.mean(axis=0) if len(others) else 0.0, -1.0)


def of_task(table: MetaDataset, by_hand: MetaDataset, name: str, everywhere: Floats) -> dict[str, Any]:
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
        for label, score in {"best": chooses[:, -1], "one for all": everywhere}.items():
            best = int(score.argmax())
            values.setdefault(label, []).append((float(reports[best, -1]), float(cost[best, -1])))
        for label, column in columns.items():
            values.setdefault(label, []).append((float(hand_reports[column, -1]), float(hand_cost[column, -1])))
        for label, (first, second) in EXPERTS_RACE.items():
            found = race(hand_chooses, hand_reports, hand_cost, (columns[first], columns[second]), at)
            values.setdefault(label, []).append(found)
            for ours, score in {"best": chooses[:, -1], "one for all": everywhere}.items():
                best = int(np.where(cost[:, -1] <= found[1], score, -np.inf).argmax())
                values.setdefault(f"{ours} in the seconds of {label}", []).append((float(reports[best, -1]), found[1]))
    means = {label: np.mean(found, axis=0) for label, found in values.items()}
    shown = {
        label: {"accuracy": round(100 * a, 2), "seconds": round(s, 1) if np.isfinite(s) else None}
        for label, (a, s) in means.items()
    }
    return {"configurations": int(trained(table)[row].sum()), **shown}


def room(tasks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean over tasks of what the best configuration is above the others, in points, with intervals."""
    result = {}
    timed = all(found["best"]["seconds"] is not None for found in tasks.values())
    for label in [*BY_HAND, *EXPERTS_RACE]:
        within = f" in the seconds of {label}"
        for best in [
            "best",
            "one for all",
            *([f"best{within}", f"one for all{within}"] if timed and label in EXPERTS_RACE else []),
        ]:
            gained = [found[best]["accuracy"] - found[label]["accuracy"] for found in tasks.values()]
            result[f"{best} above {label}"] = bootstrap_mean(gained).to_json()
    return result


def main() -> None:
    """Judges the tasks that both tables have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "metadata" / "efficientnet-lite0.collection")
    parser.add_argument("--by-hand", type=Path, default=ROOT / "metadata" / "efficientnet-lite0-by-hand.collection")
    parser.add_argument("--name", default="room", help="of the result")
    args = parser.parse_args()
    table, by_hand = load(args.table, complete_only=False), load(args.by_hand, complete_only=False)
    enough = (trained(table).sum(axis=1) >= LEAST) & table.tasks["name"].isin(by_hand.tasks["name"]).to_numpy()
    rows = [int(row) for row in np.flatnonzero(enough)]
    names = [table.tasks["name"].iloc[row] for row in rows]
    tasks = {n: of_task(table, by_hand, n, one_for_all(table, rows, row)) for n, row in zip(names, rows, strict=True)}
    result = {**environment(), "listed": len(table.configs), "tasks": tasks, "room": room(tasks)}
    for label, interval in result["room"].items():
        print(f"{label:60s} {interval['mean']:+6.2f} [{interval['low']:+.2f}, {interval['high']:+.2f}]")
    write_json(RESULTS / f"{args.name}.json", result)


if __name__ == "__main__":
    main()
