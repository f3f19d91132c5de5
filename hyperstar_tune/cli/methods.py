"""The command that compares methods on a table."""

from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console, find_task, task_source
from hyperstar_tune.errors import PlanError


@app.command()
def sweep(
    table: Annotated[str, typer.Argument(help="Folder of a meta-dataset, or mobilenet-v2-64px, which ships.")],
    out: Annotated[Path, typer.Option(help="Parquet file of results; what it holds is not run again.")],
    methods: Annotated[
        str,
        typer.Option(
            help="Names, separated by commas; a RANKER+USE may have a predictor, shipped or a folder, as RANKER."
        ),
    ] = "race,hyperband,asha,random_search",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the images of the tasks, one folder per task; not needed for the shipped table."
        ),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Parquet file of leave-family-out scores.", show_default="they are computed")
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder to draw the figures of the paper in.")] = None,
    budgets: Annotated[str, typer.Option(help="Multiples of R; by default the protocol's.")] = "",
    eta: Annotated[int, typer.Option(help="With --budgets: one in eta survives a rung.")] = 2,
    tasks: Annotated[str, typer.Option(help="Names, separated by commas; by default all complete ones.")] = "",
    seeds: Annotated[int, typer.Option(help="Runs per method and task.")] = 100,
    slow_seeds: Annotated[int, typer.Option(help="The same for methods that fit a model.")] = 10,
) -> None:
    """Replays methods at equal epoch budgets on recorded curves; prints accuracies and epochs to a rival's accuracy."""
    from hyperstar_tune.comparison import Budgets, LooScores, make_method, protocol_budgets
    from hyperstar_tune.comparison import sweep as replay_all
    from hyperstar_tune.comparison.budgets import finer
    from hyperstar_tune.comparison.finding_scores import find_scores
    from hyperstar_tune.comparison.sweep_report import report_sweep
    from hyperstar_tune.shipped import table_path
    from hyperstar_tune.tables import MetaDataset

    curves = MetaDataset.load(table_path(table))
    names = methods.split(",")
    try:
        multiples = tuple(float(multiple) for multiple in budgets.split(",")) if budgets else ()
    except ValueError:
        raise PlanError(f"budgets are numbers separated by commas, but got {budgets!r}") from None
    wanted = [Budgets(eta, multiples)] if multiples else list(protocol_budgets(curves))
    rankers = dict.fromkeys(method.ranker for method in map(make_method, names) if method.ranker)
    loo = LooScores.load(scores, curves.configs) if scores else None
    if loo is None and rankers:
        rows = curves.tasks.to_dict("records") if images is not None else []
        found = {row["name"]: find_task(task_source(row["name"], row["location"], images or Path())) for row in rows}
        asked = curves.tasks["name"].isin(tasks.split(",")) if tasks else slice(None)
        families = curves.tasks.loc[asked, "family"].unique().tolist()
        loo = LooScores(find_scores(rankers, curves, found, families), curves.configs)
    results = replay_all(
        names,
        curves,
        loo,
        budgets=[finer(budget, curves) for budget in wanted],
        tasks=tasks.split(",") if tasks else None,
        seeds=seeds,
        slow_seeds=slow_seeds,
        out=out,
        progress=lambda now: console.print(
            f"{now.done}/{now.total} runs, {now.seconds:.0f} s: {now.method}, {now.task}"
        ),
    )
    console.print(report_sweep(results, curves, wanted, figures))
