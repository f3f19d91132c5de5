"""The command that makes a page of a run, of hyperstar tune or of anybody's experiment of Ray Tune."""

from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console
from hyperstar_tune.errors import SearchError


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run of hyperstar tune, or of any experiment of Ray Tune.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="report.html in the run's folder")
    ] = None,
    no_images: Annotated[
        bool,
        typer.Option("--no-images", help="Leave out images and the names of their files: for data that must stay."),
    ] = False,
    metric: Annotated[
        str | None, typer.Option(help="Of an experiment of Ray Tune: what decides.", show_default="val_accuracy")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="The same: 'max' or 'min'.", show_default="max")] = None,
    time_attr: Annotated[
        str | None, typer.Option(help="The same: the reported number of epochs.", show_default="training_iteration")
    ] = None,
) -> None:
    """Makes one HTML file of a run: the winner, images and mistakes, what was spent, what was promised.

    Of an experiment that hyperstar tune did not make it shows what Tune has kept, and says what is missing.
    """
    from hyperstar_tune.report.page import write_page
    from hyperstar_tune.report.tune_runs import record_of_experiment
    from hyperstar_tune.tuning.record import RECORD, read_record

    named = {"metric": metric, "mode": mode, "time_attr": time_attr}
    asked = {name: value for name, value in named.items() if value is not None}
    record = read_record(run)
    if record and asked:
        raise SearchError(
            f"the {RECORD} of {run} names its metric, but got --{next(iter(asked)).replace('_', '-')}; leave it out"
        )
    record = record or record_of_experiment(run, **asked)
    file = out if out is not None else run / "report.html"
    if file.is_dir():
        raise SearchError(f"--out names a file, but {file} is a folder")
    write_page(record, file, with_images=not no_images)
    console.print(f"wrote {file}")
