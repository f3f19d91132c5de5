"""The command that makes cells of the user's own table from finished experiments of Ray Tune."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hyperstar_tune.cli.app import app, console, find_task
from hyperstar_tune.cli.metadatasets import write_table
from hyperstar_tune.cli.spaces import SPACE_HELP, find_space


@app.command("record")
def record_run(
    run: Annotated[Path, typer.Argument(help="Folder of an experiment of Ray Tune, of any trainable.")],
    into: Annotated[Path, typer.Option(help="Folder of the meta-dataset, begun or extended.")],
    metric: Annotated[str, typer.Option(help="The reported accuracy, in [0, 1].")] = "val_accuracy",
    mode: Annotated[str, typer.Option(help="'max'; or 'min' if the metric is an error rate.")] = "max",
    time_attr: Annotated[str, typer.Option(help="The reported number of epochs.")] = "training_iteration",
    max_epochs: Annotated[
        int | None,
        typer.Option(help="R: epochs of a trial that was trained to the end.", show_default="the most of any"),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="The images of the task, as for collect; meta-train then knows them again.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Its name; by default that of the images or the run.")] = None,
    family: Annotated[str | None, typer.Option(help="Name that related tasks share.")] = None,
    space: Annotated[
        str | None, typer.Option(help=f"{SPACE_HELP} By default the table's, or what differs between the trials.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed that the trials were trained with, unless they say it.")] = 0,
) -> None:
    """Turns a finished experiment, ours or anybody's, into cells of a table that meta-train learns from."""
    from hyperstar_tune.tables import MetaDataset, record

    about: dict[str, Any] = {}
    if images is not None:
        from hyperstar_tune.finetune.wanted import task_row

        about = task_row(find_task(images), {}, {})
        about["family"] = about["family"] or about["name"].partition("@")[0]
    about |= {key: value for key, value in (("name", task), ("family", family)) if value is not None}
    exists = (into / "metadata.json").exists()
    table = record(
        run,
        MetaDataset.load(into) if exists else None,
        metric=metric,
        mode=mode,
        time_attr=time_attr,
        max_epochs=max_epochs,
        space=find_space(space) if space is not None else None,
        task=about,
        seed=seed,
    )
    write_table(table, into)
    console.print(f"its tasks: {', '.join(table.tasks['name'])}")
