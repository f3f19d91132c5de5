"""The command that checks a folder of images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import console, tasks_app


@tasks_app.command("check")
def check_task(
    folder: Annotated[Path, typer.Argument(help="Folder of images: CLASS/* or {train,val}/CLASS/*.")],
    published: Annotated[str | None, typer.Option(help="Compare with the published size of this data set.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Counts classes and images, and finds unreadable files and duplicates; status 2 if training would go wrong."""
    from hyperstar_tune.tasks import check_folder

    report = check_folder(folder, published)
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        console.print(str(report), markup=False)
    if report.refused or report.wrong:
        raise typer.Exit(2)
