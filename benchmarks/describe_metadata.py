"""Describes the recorded tables side by side and draws the figures of docs/metadataset.md.

    python benchmarks/describe_metadata.py [--collection runs/mobilenet-v2-64px]

Writes ``benchmarks/results/metadataset.json`` (the main table at the top level, the second network under ``other``),
``metadataset_*.png`` and the table of figures in ``docs/metadataset.md``. With ``--collection`` the complete tasks of a
collection, finished or not, first become the main table.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from _common import RESULTS, ROOT, about_table, environment, write_json

from hyperstar_tune.report.table_figures import draw_figures
from hyperstar_tune.tables.describe import describe
from hyperstar_tune.tables.metadataset import MetaDataset

MAIN = ROOT / "metadata" / "mobilenet-v2-64px"
COLLECTION = ROOT / "metadata" / "mobilenet-v2-64px.collection"  # what MAIN was exported from
OTHER = ROOT / "metadata" / "shufflenet-v2-x1-v0"
DOC = ROOT.parent / "docs" / "metadataset.md"
BEGIN, END = "<!-- figures: benchmarks/describe_metadata.py -->", "<!-- end of figures -->"


def described(path: Path, prefix: str) -> dict[str, Any]:
    """Draws a table's figures and returns all that is known of it."""
    table = MetaDataset.load(path)
    description = describe(table)
    print(f"== {path.name}\n{description}\n")
    draw_figures(table, RESULTS, prefix=f"metadataset_{prefix}")
    return {**description.to_json(), "table": about_table(table, path)}


def figures_table(columns: list[dict[str, Any]]) -> str:
    """The figures of several tables as Markdown, a column each."""

    def split(name: str) -> list[str]:
        found = [column[name] for column in columns]
        return [
            "too few tasks" if s is None
            else f"{s['configuration']:.0%} / {s['interaction']:.0%}"
            + (f" / {s['noise']:.0%}, from {s['noise_from']}" if s["noise"] is not None else " with noise")
            for s in found
        ]  # fmt: skip

    def number(name: str, form: str = ".2f") -> list[str]:
        return ["too few tasks" if column[name] is None else f"{column[name]:{form}}" for column in columns]

    def precision(name: str, lacks: str) -> list[str]:
        return [
            f"{column[name]:.2f}" if column[name] is not None else lacks if column["noise_ceiling"] else "no half B"
            for column in columns
        ]

    def seeds(column: dict[str, Any]) -> str:
        ceiling = column["noise_ceiling"]
        some = ceiling is not None and not ceiling["same_seed"] and ceiling["tasks"] < column["tasks"]
        return f"1 (up to {column['seeds']} on {ceiling['tasks']} tasks)" if some else str(column["seeds"])

    planned = [f" of {column['tasks_planned']} planned" if "tasks_planned" in column else "" for column in columns]
    rows = {
        "": [column["table"]["name"] for column in columns],
        "tasks": [f"{c['tasks']}{p}" for c, p in zip(columns, planned, strict=True)],
        "parents, sub-tasks, families": [f"{c['parents']}, {c['sub_tasks']}, {c['families']}" for c in columns],
        "configurations x seeds, epochs": [f"{c['configurations']} x {seeds(c)}, {c['epochs']}" for c in columns],
        "measured": number("coverage", ".0%"),
        "complete tasks, compared below": number("tasks_compared", "d"),
        "mean rank correlation of two tasks": number("mean_rank_correlation"),
        "variance: configuration / task x configuration / noise": split("variance"),
        "the same, better half of the configurations": split("variance_upper_half"),
        "noise ceiling of AP@10": precision("noise_ceiling_ap10", "no task has three seeds"),
        "AP@10 of half A on half B of the same seed (no ceiling)": precision("same_seed_ap10", "not needed"),
        "tasks with another best than the average best": number("tasks_with_other_best", ".0%"),
        "their own best is better by (points, half B)": [
            "cannot be told" if c["own_best_gain"] is None else f"{100 * c['own_best_gain']:.2f}" for c in columns
        ],
    }
    lines = [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    lines.insert(1, "|---" * (len(columns) + 1) + "|")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, help="folder of hyperstar collect to export first")
    args = parser.parse_args()
    if args.collection:
        MetaDataset.from_collection(args.collection, complete_only=True).save(MAIN)
    about = json.loads(((args.collection or COLLECTION) / "collection.json").read_text())
    result = {**environment(), **described(MAIN, ""), "tasks_planned": len(about["tasks"])}
    result["other"] = {"shufflenet-v2-x1-v0": described(OTHER, "shufflenet_")}
    write_json(RESULTS / "metadataset.json", result)
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    figures = figures_table([result, *result["other"].values()])
    DOC.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
