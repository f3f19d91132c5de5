"""The commands that make a table of learning curves and say what one holds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperstar_tune.cli.app import app, console, metadataset_app
from hyperstar_tune.cli.spaces import SPACE_HELP, find_space

if TYPE_CHECKING:
    from hyperstar_tune.tables import MetaDataset


@app.command("export")
def export(
    collection: Annotated[Path, typer.Argument(help="Folder written by hyperstar collect.")],
    out: Annotated[Path, typer.Option(help="Folder of the meta-dataset to write.")],
    complete_only: Annotated[bool, typer.Option(help="Leave out tasks that lack cells.")] = True,
) -> None:
    """Turns a collection, finished or not, into a meta-dataset."""
    from hyperstar_tune.tables import MetaDataset

    write_table(MetaDataset.from_collection(collection, complete_only=complete_only), out)


@app.command("import-curves")
def import_curves(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: task, seed, epoch, val_accuracy, and one column per parameter.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the meta-dataset to write.")],
    space: Annotated[str | None, typer.Option(help=f"{SPACE_HELP} By default what the file has.")] = None,
) -> None:
    """Turns learning curves measured elsewhere into a meta-dataset."""
    from hyperstar_tune.tables import MetaDataset
    from hyperstar_tune.tables.files import read_curves

    write_table(MetaDataset.from_frame(read_curves(file), find_space(space) if space is not None else None), out)


@metadataset_app.command("describe")
def describe_metadataset(
    table: Annotated[str, typer.Argument(help="Folder of a meta-dataset, or mobilenet-v2-64px, which ships.")],
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for a heat map, curves and the similarities.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task whose curves to draw; by default the first complete one.")
    ] = None,
) -> None:
    """Says what a table holds, and how much its tasks disagree about the best configurations."""
    from hyperstar_tune.report.table_figures import draw_figures
    from hyperstar_tune.shipped import table_path
    from hyperstar_tune.tables import MetaDataset
    from hyperstar_tune.tables.describe import describe

    curves = MetaDataset.load(table_path(table))
    description = describe(curves)
    paths = draw_figures(curves, figures, task) if figures is not None else []
    if as_json:
        print(json.dumps(description.to_json()))
        return
    console.print(str(description), markup=False)
    for path in paths:
        console.print(f"wrote {path}")


def write_table(table: "MetaDataset", out: Path) -> None:
    """Saves a table and says what it holds."""
    import numpy as np

    table.save(out)
    measured = np.any(table.measured, axis=2)  # [T, H]
    text = f"{len(table.tasks)} tasks x {len(table.configs)} configurations written to {out}"
    if holes := measured.size - int(measured.sum()):
        text += (
            f"; {holes} of {measured.size} cells ({holes / measured.size:.0%}) are not measured, and "
            f"{np.count_nonzero(measured.all(axis=-1))} tasks are complete"
        )
    console.print(text)
