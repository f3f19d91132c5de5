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
from scoreboard.doc_tables import write_docs

from hyperstar_tune.report.table_figures import draw_figures
from hyperstar_tune.tables.describe import describe
from hyperstar_tune.tables.metadataset import MetaDataset

MAIN = ROOT / "metadata" / "mobilenet-v2-64px"
COLLECTION = ROOT / "metadata" / "mobilenet-v2-64px.collection"  # what MAIN was exported from
OTHER = ROOT / "metadata" / "shufflenet-v2-x1-v0"


def described(path: Path, prefix: str) -> dict[str, Any]:
    """Draws a table's figures and returns all that is known of it."""
    table = MetaDataset.load(path)
    description = describe(table)
    print(f"== {path.name}\n{description}\n")
    draw_figures(table, RESULTS, prefix=f"metadataset_{prefix}")
    return {**description.to_json(), "table": about_table(table, path)}


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
    write_docs()


if __name__ == "__main__":
    main()
