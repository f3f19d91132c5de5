"""The ``hyperstar`` command: arguments for the rooms below, nothing else.

A user's mistake ends it with one line and status 2; any other error is a bug and keeps its traceback.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hyperstar_tune.errors import HyperStarError, PlanError, PredictorError, TaskError

if TYPE_CHECKING:
    from hyperstar_tune.tasks.task import ImageTask

__all__ = ["app", "main"]

app = typer.Typer(
    help="Hyperparameter search for fine-tuning vision networks that has looked at the images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
predictors_app = typer.Typer(help="Shipped predictors.", no_args_is_help=True)
app.add_typer(predictors_app, name="predictors")
metadataset_app = typer.Typer(help="Tables of learning curves.", no_args_is_help=True)
app.add_typer(metadataset_app, name="metadataset")
tasks_app = typer.Typer(help="Folders of images.", no_args_is_help=True)
app.add_typer(tasks_app, name="tasks")
console = Console(highlight=False, markup=False, soft_wrap=True)

Weights = Annotated[str, typer.Option(help="'hub', 'own' (the shipped small backbone) or a local file.")]
_DEFAULT_PREDICTOR = "mobilenet-v2-64px"


def main() -> None:
    """Entry point of the ``hyperstar`` script."""
    try:
        app()
    except HyperStarError as error:
        sys.exit(_fail(str(error)))


def _fail(message: str) -> int:
    print(f"hyperstar: {message}", file=sys.stderr)
    return 2


@app.command()
def rank(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of images: CLASS/* or {train,val}/CLASS/*.", show_default=False)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The same folder, by name.", show_default=False)] = None,
    predictor: Annotated[str, typer.Option(help="A shipped predictor or a folder.")] = _DEFAULT_PREDICTOR,
    top: Annotated[int, typer.Option(help="Places to print.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the images that are looked at.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The whole ranking as JSON.")] = False,
) -> None:
    """Looks at images and ranks the configurations of the predictor's space for them."""
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.tasks.task import ImageTask

    given = folder or data
    if given is None or (folder and data):
        raise TaskError("rank needs one folder of images: hyperstar rank FOLDER")
    task = ImageTask.from_folder(given)
    ranking = Predictor.load(predictor).rank(task, seed=seed)
    if as_json:
        rows = zip(ranking.configs, ranking.scores, ranking.spread, strict=True)
        places = [{"config": config, "score": score, "spread": spread} for config, score, spread in rows]
        about = {"task": ranking.task, "predictor": ranking.source, "seen": ranking.seen}
        print(json.dumps({**about, "nearest": ranking.nearest, "share": ranking.share, "ranking": places}))
        return
    for remark in ranking.remarks():
        console.print(remark)
    console.print(ranking.table(top))


@app.command()
def plan(
    max_epochs: Annotated[int, typer.Argument(help="R: epochs of a configuration that survives every rung.")],
    eta: Annotated[int, typer.Option(help="One in eta survives a rung.")] = 3,
    epoch_budget: Annotated[int, typer.Option(help="Epochs of all trials together; 0: one pass.")] = 0,
    longest_first: Annotated[
        bool, typer.Option("--longest-first", help="Begin with the bracket whose trials train longest.")
    ] = False,
) -> None:
    """Prints the brackets of a Hyperband run and what its budget reaches."""
    from hyperstar_tune.plan import HyperBandPlan

    console.print(str(HyperBandPlan(max_epochs, eta, epoch_budget, longest_first=longest_first)))


@predictors_app.command("list")
def list_predictors() -> None:
    """Names the shipped predictors and what each was made for."""
    from hyperstar_tune.predictor import Predictor, predictor_names

    for name in predictor_names():
        about = Predictor.load(name).fingerprint
        console.print(f"{name}: {about.model} at {about.image_size} px, R = {about.max_epochs}, {about.schedule}")


@app.command()
def collect(
    tasks: Annotated[
        list[str], typer.Argument(help="Folders, or torchvision:NAME; add @small or @large for a sub-task.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the collection, begun or continued.")],
    space: Annotated[str, typer.Option(help="Name of a search space.")] = "mobilenet-v2",
    model: Annotated[str, typer.Option(help="Any classification model of timm or torchvision.")] = "mobilenetv2_100",
    weights: Weights = "hub",
    seeds: Annotated[int, typer.Option(help="Trials of each cell.")] = 1,
    image_size: Annotated[int, typer.Option(help="Pixels.")] = 64,
    max_epochs: Annotated[int, typer.Option(help="R, epochs of every cell.")] = 32,
    schedule: Annotated[str, typer.Option(help="Learning rate: 'settle', 'cosine' or 'constant'.")] = "settle",
    order: Annotated[
        str, typer.Option(help="'by-task', 'cheap-first', or 'round-robin' (any prefix is a balanced table).")
    ] = "by-task",
    max_hours: Annotated[float | None, typer.Option(help="No cell begins later.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.")] = None,
    gpus_per_cell: Annotated[float, typer.Option(help="May be a fraction.")] = 0.0,
    nice: Annotated[int | None, typer.Option(help="Niceness of the processes that train.")] = None,
) -> None:
    """Measures the learning curve of every configuration on every task; can be stopped and continued at any time."""
    from hyperstar_tune.finetune import collect as collect_curves

    summary = collect_curves(
        [_task(text) for text in tasks],
        space,
        out,
        model=model,
        weights=weights,
        seeds=range(seeds),
        image_size=image_size,
        max_epochs=max_epochs,
        schedule=schedule,
        order=order,
        max_hours=max_hours,
        workers=workers,
        gpus_per_cell=gpus_per_cell,
        nice=nice,
        progress=lambda line: console.print(line),
    )
    console.print(
        f"{summary.before + summary.measured} of {summary.total} cells measured ({summary.measured} now), "
        f"{summary.failed} failed, {summary.left} left"
    )


@app.command("import-curves")
def import_curves(
    folder: Annotated[Path, typer.Argument(help="Folder of NAME.jsonl files (format: docs/metadataset.md).")],
    out: Annotated[Path, typer.Option(help="Folder of the meta-dataset to write.")],
) -> None:
    """Turns learning curves measured elsewhere into a meta-dataset."""
    from hyperstar_tune.tables.metadataset import import_curves_v0

    table = import_curves_v0(folder)
    table.save(out)
    console.print(f"{len(table.tasks)} tasks x {len(table.configs)} configurations written to {out}")


@app.command("export")
def export(
    collection: Annotated[Path, typer.Argument(help="Folder written by hyperstar collect.")],
    out: Annotated[Path, typer.Option(help="Folder of the meta-dataset to write.")],
    complete_only: Annotated[bool, typer.Option(help="Leave out tasks that lack cells.")] = True,
) -> None:
    """Turns a collection, finished or not, into a meta-dataset."""
    from hyperstar_tune.tables.metadataset import MetaDataset

    table = MetaDataset.from_collection(collection, complete_only=complete_only)
    table.save(out)
    console.print(f"{len(table.tasks)} tasks x {len(table.configs)} configurations written to {out}")


@metadataset_app.command("describe")
def describe_metadataset(
    table: Annotated[Path, typer.Argument(help="Folder of a meta-dataset.")],
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for a heat map, curves and the similarities.")] = None,
    task: Annotated[str | None, typer.Option(help="Whose curves to draw; by default the first complete one's.")] = None,
) -> None:
    """Says what a table holds, and how much its tasks disagree about the best configurations."""
    from hyperstar_tune.report.table_figures import draw_figures
    from hyperstar_tune.tables.describe import describe
    from hyperstar_tune.tables.metadataset import MetaDataset

    curves = MetaDataset.load(table)
    description = describe(curves)
    paths = draw_figures(curves, figures, task) if figures is not None else []
    if as_json:
        print(json.dumps(description.to_json()))
        return
    console.print(str(description), markup=False)
    for path in paths:
        console.print(f"wrote {path}")


@tasks_app.command("check")
def check_task(
    folder: Annotated[Path, typer.Argument(help="Folder of images: CLASS/* or {train,val}/CLASS/*.")],
    published: Annotated[
        str | None, typer.Option(help="Compare with the published size of a data set of docs/tasks.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Counts, unreadable files, exact duplicates, balance; status 2 where training would be refused."""
    from hyperstar_tune.tasks.check import check_folder

    report = check_folder(folder, published)
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        console.print(str(report), markup=False)
    if report.refused:
        raise typer.Exit(2)


@app.command("meta-train")
def meta_train(
    table: Annotated[Path, typer.Argument(help="Folder of a meta-dataset.")],
    tasks: Annotated[
        Path,
        typer.Option(help="Folder of the images of its tasks, a folder each (torchvision's: data/)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the predictor to write; networks go on after a kill.")],
    method: Annotated[
        str, typer.Option(help="'hyperstar_plus', or 'network': the paper's, to which the options below belong.")
    ] = "hyperstar_plus",
    leave_out: Annotated[list[str] | None, typer.Option(help="Families to leave out.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over all tasks.")] = 20,
    train_backbone: Annotated[str, typer.Option(help="'none', 'last_stage' or 'all' (end to end).")] = "last_stage",
    device: Annotated[str, typer.Option(help="'cpu', 'cuda'...")] = "cpu",
    seed: int = 0,
) -> None:
    """Trains a predictor on a table of learning curves and the images of its tasks."""
    from hyperstar_tune.predictor import TrainingSettings, train_plus
    from hyperstar_tune.predictor import meta_train as train_network
    from hyperstar_tune.tables.metadataset import MetaDataset

    if method not in ("hyperstar_plus", "network"):
        raise PredictorError(f"method is 'hyperstar_plus' or 'network', but got {method!r}")
    curves = MetaDataset.load(table).without(leave_out or [])
    rows = curves.tasks.to_dict("records")
    images = {row["name"]: _task(_source(row["name"], row["location"], tasks)) for row in rows}
    if method == "hyperstar_plus":
        train_plus(curves, images, name=out.name).save(out)
    else:
        train_network(
            curves,
            images,
            TrainingSettings(epochs=epochs, train_backbone=train_backbone, seed=seed),
            name=out.name,
            out=out,
            progress=lambda report: console.print(
                f"pass {report.epoch}/{report.epochs}: {report.performance:.3f} (Eq. 1), "
                f"{report.similarity:.3f} (Eq. 2), {report.adversarial:.3f} (Eq. 3), "
                f"discriminator right in {report.discriminator_accuracy:.0%}, {report.seconds:.1f} s"
            ),
            device=device,
        )
    console.print(f"predictor written to {out}")


@app.command()
def sweep(
    table: Annotated[Path, typer.Argument(help="Folder of a meta-dataset.")],
    out: Annotated[Path, typer.Option(help="Parquet file of results; what it holds is not run again.")],
    methods: Annotated[str, typer.Option(help="Names, separated by commas.")] = "hyperband,asha,random_search",
    scores: Annotated[
        Path | None,
        typer.Option(help="Parquet file of leave-family-out scores, for RANKER+USE; not needed if no image is."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder to draw the figures of the paper in.")] = None,
    budgets: Annotated[str, typer.Option(help="Multiples of R; by default the protocol's.")] = "",
    eta: Annotated[int, typer.Option(help="With --budgets: one in eta survives a rung.")] = 2,
    tasks: Annotated[str, typer.Option(help="Names, separated by commas; by default all complete ones.")] = "",
    seeds: Annotated[int, typer.Option(help="Runs of a method on a task.")] = 100,
    slow_seeds: Annotated[int, typer.Option(help="The same for methods that fit a model.")] = 10,
) -> None:
    """Replays methods at equal epoch budgets on recorded curves; tables of accuracy and of epochs to a rival's."""
    from hyperstar_tune.comparison import Budgets, LooScores, make_method, protocol_budgets
    from hyperstar_tune.comparison import sweep as replay_all
    from hyperstar_tune.comparison.leave_out import scores_without_images
    from hyperstar_tune.comparison.sweep_report import finer, report_sweep
    from hyperstar_tune.tables.metadataset import MetaDataset

    curves = MetaDataset.load(table)
    names = methods.split(",")
    try:
        multiples = tuple(float(multiple) for multiple in budgets.split(",")) if budgets else ()
    except ValueError:
        raise PlanError(f"budgets are numbers separated by commas, but got {budgets!r}") from None
    wanted = [Budgets(eta, multiples)] if multiples else list(protocol_budgets(curves))
    rankers = dict.fromkeys(method.ranker for method in map(make_method, names) if method.ranker)
    loo = LooScores.load(scores, curves.configs) if scores else None
    if loo is None and rankers:
        loo = LooScores(scores_without_images(rankers, curves), curves.configs)
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


def _source(name: str, location: str, folder: Path) -> str:
    """Where the images of a task of a table are: a data set of torchvision, or a folder named like it."""
    _, at, kind = name.partition("@")
    return f"{location}{at}{kind}" if location.startswith("torchvision:") else str(folder / name)


def _task(text: str) -> "ImageTask":
    """A task, or of ``SOURCE@KIND`` its sub-task; folders may have an @ in their names."""
    from hyperstar_tune.tasks.task import SUB_TASKS, ImageTask

    source, at, kind = text.rpartition("@")
    if not at or "/" in kind or Path(text).is_dir():
        return ImageTask.of(text)
    if kind not in SUB_TASKS:
        raise TaskError(f"a sub-task is one of @{', @'.join(SUB_TASKS)}, but got {text!r}")
    return ImageTask.of(source).sub_task(kind)


if __name__ == "__main__":
    main()
