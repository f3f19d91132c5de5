"""The command that says which hyperparameters matter."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console


@app.command("importance")
def show_importance(
    sources: Annotated[list[Path], typer.Argument(help="Folders of runs of Ray Tune or of meta-datasets.")],
    metric: Annotated[str, typer.Option(help="Reported metric of a run.")] = "val_accuracy",
    mode: Annotated[str, typer.Option(help="'max' or 'min'.")] = "max",
    task: Annotated[
        str | None, typer.Option(help="Task of a meta-dataset; by default the mean over all complete ones.")
    ] = None,
    evaluator: Annotated[str, typer.Option(help="'fanova', or 'ped-anova' (fast, no pairs).")] = "fanova",
    repeats: Annotated[int, typer.Option(help="Seeds of the forest of fanova.")] = 10,
    figures: Annotated[Path | None, typer.Option(help="Folder for importance.png and marginals.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Says which hyperparameters, and pairs of them, explain the scores; a run gives one answer per image size."""
    from hyperstar_tune.report.importance_figures import draw_importance, draw_marginals
    from hyperstar_tune.report.importance_sources import importance_of

    found = {}
    for source in sources:
        of_source = importance_of(source, metric=metric, mode=mode, task=task, evaluator=evaluator, repeats=repeats)
        prefix = f"{source.name}: " if len(sources) > 1 else ""
        found.update({label if label.startswith(prefix) else prefix + label: one for label, one in of_source.items()})
    paths = []
    if figures is not None:
        draw_importance(found, figures / "importance.png")
        paths.append(figures / "importance.png")
        if any(one.marginals for one in found.values()):
            draw_marginals(found, figures / "marginals.png")
            paths.append(figures / "marginals.png")
    if as_json:
        print(json.dumps({label: one.to_json() for label, one in found.items()}))
        return
    for label, one in found.items():
        console.print(f"{label}: {one}", markup=False)
    for path in paths:
        console.print(f"wrote {path}")
