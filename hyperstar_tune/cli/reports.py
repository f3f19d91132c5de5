"""The command that makes a page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console
from hyperstar_tune.errors import SearchError


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run of hyperstar tune.")],
    out: Annotated[Path | None, typer.Option(help="File to write. [default: report.html in the run's folder]")] = None,
    no_images: Annotated[
        bool,
        typer.Option("--no-images", help="Leave out images and the names of their files: for data that must stay."),
    ] = False,
) -> None:
    """Makes one HTML file of a run: the winner, images and mistakes, what was spent, what was promised."""
    from hyperstar_tune.report.page import write_page
    from hyperstar_tune.tuning.record import RECORD, read_record

    record = read_record(run)
    if not record:
        raise SearchError(
            f"a report is made of the {RECORD} that hyperstar tune writes when it ends or is interrupted, but {run} "
            "has none to read"
        )
    file = out if out is not None else run / "report.html"
    if file.is_dir():
        raise SearchError(f"--out names a file, but {file} is a folder")
    write_page(record, file, with_images=not no_images)
    console.print(f"wrote {file}")
