"""The commands that measure learning curves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hyperstar_tune.cli.app import app, console, find_task
from hyperstar_tune.cli.network_options import MEAN_HELP, MODEL_ARG_HELP, STD_HELP, model_arguments, normalization
from hyperstar_tune.cli.spaces import SPACE_HELP, find_space


@app.command()
def collect(
    tasks: Annotated[
        list[str], typer.Argument(help="Folders, or torchvision:NAME; add @small or @large for a sub-task.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the collection, begun or continued.")],
    space: Annotated[str, typer.Option(help=SPACE_HELP)] = "mobilenet-v2",
    model: Annotated[str, typer.Option(help="Any classification model of timm or torchvision.")] = "mobilenetv2_100",
    weights: Annotated[str, typer.Option(help="'hub', 'own' (the shipped small backbone) or a local file.")] = "hub",
    mean: Annotated[str | None, typer.Option(help=MEAN_HELP)] = None,
    std: Annotated[str | None, typer.Option(help=STD_HELP)] = None,
    model_arg: Annotated[list[str] | None, typer.Option(help=MODEL_ARG_HELP)] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds per configuration and task.")] = 1,
    seed: Annotated[int, typer.Option(help="The first of the random seeds.")] = 0,
    image_size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 64,
    max_epochs: Annotated[int, typer.Option(help="R: epochs of every configuration.")] = 32,
    schedule: Annotated[str, typer.Option(help="Learning rate: 'settle', 'cosine' or 'constant'.")] = "settle",
    order: Annotated[
        str, typer.Option(help="'by-task', 'cheap-first', or 'round-robin' (any prefix is a balanced table).")
    ] = "by-task",
    max_hours: Annotated[float | None, typer.Option(help="Hours after which no training begins.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes; by default one per core.")] = None,
    gpus_per_cell: Annotated[float, typer.Option(help="GPUs per training; may be a fraction.")] = 0.0,
    nice: Annotated[int | None, typer.Option(help="Niceness of the processes that train.")] = None,
    accept_changed_data: Annotated[
        bool, typer.Option("--accept-changed-data", help="Go on though labels or images have changed.")
    ] = False,
    configs: Annotated[
        int | None, typer.Option(help="Number of configurations, drawn from the space (always the same).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate the hours, by short trainings.")] = False,
) -> None:
    """Measures the learning curve of every configuration on every task; can be stopped and continued at any time."""
    from hyperstar_tune.finetune import collect as collect_curves
    from hyperstar_tune.finetune import estimate_collection

    means, deviations = normalization(weights, mean, std)
    wanted: dict[str, Any] = {
        "model": model,
        "weights": weights,
        "mean": means,
        "std": deviations,
        "model_kwargs": model_arguments(model_arg),
        "seeds": range(seed, seed + seeds),
        "image_size": image_size,
        "max_epochs": max_epochs,
        "schedule": schedule,
        "workers": workers,
        "gpus_per_cell": gpus_per_cell,
        "progress": lambda line: console.print(line),
    }
    images, configurations = [find_task(text) for text in tasks], find_space(space, configs)
    if dry_run:
        console.print(str(estimate_collection(images, configurations, out, **wanted)))
        return
    summary = collect_curves(
        images,
        configurations,
        out,
        order=order,
        max_hours=max_hours,
        nice=nice,
        accept_changed_data=accept_changed_data,
        **wanted,
    )
    console.print(
        f"{summary.before + summary.measured} of {summary.total} cells measured ({summary.measured} now), "
        f"{summary.failed} failed, {summary.left} left"
    )
    if summary.interrupted:
        raise typer.Exit(130)  # as a shell says of a command that Ctrl-C has ended
