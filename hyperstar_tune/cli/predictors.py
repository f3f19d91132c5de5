"""The commands that rank with a predictor, list those that ship, and train one."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperstar_tune.cli.app import app, console, find_task, predictors_app, task_source
from hyperstar_tune.errors import PredictorError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.shipped import DEFAULT_PREDICTOR


@app.command()
def rank(
    folder: Annotated[Path, typer.Argument(help="Folder of images: CLASS/* or {train,val}/CLASS/*.")],
    predictor: Annotated[str, typer.Option(help="A shipped predictor or a folder.")] = DEFAULT_PREDICTOR,
    top: Annotated[int, typer.Option(help="Number of places to print.")] = 10,
    seed: Annotated[int, typer.Option(help="Random seed of the sample of images.")] = 0,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also what the scores mean, what moved them, and what cannot be told apart."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole ranking as JSON.")] = False,
) -> None:
    """Looks at images and ranks the configurations of the predictor's space for them."""
    from hyperstar_tune.effects import parameter_effects
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.report.explanation import about_traits, circumstances, explanation
    from hyperstar_tune.tasks import ImageTask

    task = ImageTask.from_folder(folder)
    LOGGER.info(task.summary())  # to stderr: what is printed is the ranking alone
    model = Predictor.load(predictor)
    ranking = model.rank(task, seed=seed)
    effects = model.explain(task, ranking.configs) if explain else ()
    if as_json:
        rows = zip(ranking.configs, ranking.scores, ranking.spread, ranking.alike(), strict=True)
        places = [{"config": c, "score": score, "spread": spread, "alike": alike} for c, score, spread, alike in rows]
        about: dict[str, Any] = {"task": ranking.task, "predictor": ranking.source, "seen": ranking.seen}
        about |= {"nearest": ranking.nearest, "share": ranking.share, "complement": ranking.complement}
        if explain:
            about |= {"circumstances": circumstances(model), "seconds_per_epoch": ranking.costs}
            about |= {"parameters": parameter_effects(ranking.configs, ranking.scores)}
            about |= {"traits": about_traits(effects, ranking.configs)}
        about["remarks"] = [*task.file_remarks, *task.remarks(), *ranking.remarks()]
        print(json.dumps({**about, "ranking": places}))
        return
    for remark in ranking.remarks():
        console.print(remark)
    console.print(ranking.table(top))
    console.print(ranking.race_remark() or f"{ranking.source} knows no complement: a race takes places 1 and 2.")
    if explain:
        console.print(explanation(ranking, model, effects))


@predictors_app.command("list")
def list_predictors() -> None:
    """Names the shipped predictors and what each was made for."""
    from hyperstar_tune.predictor import Predictor, predictor_names

    for name in predictor_names():
        about = Predictor.load(name).fingerprint
        console.print(f"{name}: {about.model} at {about.image_size} px, R = {about.max_epochs}, {about.schedule}")


@app.command("meta-train")
def meta_train(
    table: Annotated[Path, typer.Argument(help="Folder of a meta-dataset.")],
    tasks: Annotated[
        Path,
        typer.Option(help="Folder with the images of the table's tasks, one folder per task (torchvision's: data/)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the predictor to write; networks go on after a kill.")],
    method: Annotated[
        str, typer.Option(help="'hyperstar_plus', or 'network': the paper's, to which the options below belong.")
    ] = "hyperstar_plus",
    base: Annotated[
        str | None,
        typer.Option(help="A HyperSTAR+ predictor, such as a shipped one, whose tasks are learned from too."),
    ] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="Families to leave out.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over all tasks.")] = 20,
    train_backbone: Annotated[str, typer.Option(help="'none', 'last_stage' or 'all' (end to end).")] = "last_stage",
    device: Annotated[str, typer.Option(help="'cpu', 'cuda'...")] = "cpu",
    seed: Annotated[int, typer.Option(help="Random seed of the training.")] = 0,
) -> None:
    """Trains a predictor on a table of learning curves and the images of its tasks."""
    from hyperstar_tune.predictor import Predictor, TrainingSettings, extend_plus, train_plus
    from hyperstar_tune.predictor import meta_train as train_network
    from hyperstar_tune.tables import MetaDataset

    if method not in ("hyperstar_plus", "network"):
        raise PredictorError(f"method is 'hyperstar_plus' or 'network', but got {method!r}")
    if base is not None and method != "hyperstar_plus":
        raise PredictorError(f"only HyperSTAR+ can begin with a base, but the method is {method!r}; leave out one")
    curves = MetaDataset.load(table).without(leave_out or [])
    rows = curves.tasks.to_dict("records")
    images = {row["name"]: find_task(task_source(row["name"], row["location"], tasks)) for row in rows}
    if base is not None:
        extend_plus(Predictor.load(base), curves, images, name=out.name).save(out)
    elif method == "hyperstar_plus":
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
