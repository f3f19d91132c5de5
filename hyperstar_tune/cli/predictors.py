"""The commands that rank with a predictor, list those that ship, and train one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperstar_tune.cli.app import app, console, find_task, predictors_app, task_source
from hyperstar_tune.cli.spaces import SPACE_HELP, find_space
from hyperstar_tune.errors import PredictorError
from hyperstar_tune.log import LOGGER
from hyperstar_tune.shipped import DEFAULT_PREDICTOR

if TYPE_CHECKING:
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.ranking import Ranking
    from hyperstar_tune.tasks import ImageTask


@app.command()
def rank(
    folder: Annotated[Path, typer.Argument(help="Folder of images: CLASS/* or {train,val}/CLASS/*.")],
    predictor: Annotated[str, typer.Option(help="A shipped predictor or a folder.")] = DEFAULT_PREDICTOR,
    space: Annotated[
        str | None,
        typer.Option(help=f"What to rank, by default the predictor's space. {SPACE_HELP}"),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of places to print.")] = 10,
    seed: Annotated[int, typer.Option(help="Random seed of the sample of images.")] = 0,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also what the scores mean, what moved them, and what cannot be told apart."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole ranking as JSON.")] = False,
) -> None:
    """Looks at images and ranks the configurations of the predictor's space, or of another one, for them."""
    from hyperstar_tune.effects import parameter_effects
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.report.explanation import about_traits, circumstances, explanation
    from hyperstar_tune.tasks import ImageTask

    task = ImageTask.from_folder(folder)
    LOGGER.info(task.summary())  # to stderr: what is printed is the ranking alone
    model = Predictor.load(predictor)
    ranking = model.rank(task, seed=seed) if space is None else _of_space(model, task, space, seed)
    effects = model.explain(task, ranking.configs) if explain else ()
    if as_json:
        rows = zip(ranking.configs, ranking.scores, ranking.deviations(), ranking.alike(), strict=True)
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
    console.print(f"What {ranking.source} recommends for these images:\n{ranking.table(top)}")
    for remark in ranking.remarks():
        console.print(remark)
    console.print(ranking.race_remark() or f"{ranking.source} knows no complement: a race takes places 1 and 2.")
    if explain:
        console.print(explanation(ranking, model, effects))


def _of_space(model: "Predictor", task: "ImageTask", space: str, seed: int) -> "Ranking":
    """The ranking of a space for fine-tuning, in which near copies come late."""
    from hyperstar_tune.search.diversity import made_diverse
    from hyperstar_tune.tuning.own_space import usual_values

    found = find_space(space)
    ranking = model.rank_space(task, found, usual_values(), seed)
    return made_diverse(ranking, found)


@predictors_app.command("list")
def list_predictors() -> None:
    """Names the shipped predictors and what each was made for."""
    from hyperstar_tune.predictor import Predictor, predictor_names

    for name in predictor_names():
        about = Predictor.load(name).fingerprint
        console.print(f"{name}: {about.model} at {about.image_size} px, R = {about.max_epochs}, {about.schedule}")


@app.command("meta-train")
def meta_train(
    table: Annotated[list[Path], typer.Argument(help="Folder of a meta-dataset; of several with method 'any_space'.")],
    tasks: Annotated[
        Path,
        typer.Option(help="Folder with the images of the table's tasks, one folder per task (torchvision's: data/)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the predictor to write; networks go on after a kill.")],
    method: Annotated[
        str,
        typer.Option(
            help="'hyperstar_plus'; 'any_space', which ranks other spaces than the table's too; or 'network': the "
            "paper's, to which the options below belong."
        ),
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
    """Trains a predictor on a table of learning curves, or on several, and the images of their tasks."""
    from hyperstar_tune.predictor import Predictor, TrainingSettings, extend_plus, train_any_space, train_plus
    from hyperstar_tune.predictor import meta_train as train_network
    from hyperstar_tune.tables import MetaDataset

    if method not in ("hyperstar_plus", "any_space", "network"):
        raise PredictorError(f"method is 'hyperstar_plus', 'any_space' or 'network', but got {method!r}")
    if len(table) > 1 and method != "any_space":
        raise PredictorError(f"only method 'any_space' learns from several tables, but got {len(table)} for {method!r}")
    if base is not None and method != "hyperstar_plus":
        raise PredictorError(f"only HyperSTAR+ can begin with a base, but the method is {method!r}; leave out one")
    tables = [MetaDataset.load(folder) for folder in table]
    families = {family for each in tables for family in each.families}
    if unknown := sorted(set(leave_out or []) - families):
        raise PredictorError(f"a family to leave out is one of {', '.join(sorted(families))}, but got {unknown[0]!r}")
    tables = [each.without(set(leave_out or []) & set(each.families)) for each in tables]
    rows = [row for each in tables for row in each.tasks.to_dict("records")]
    images = {row["name"]: find_task(task_source(row["name"], row["location"], tasks)) for row in rows}
    curves = tables[0]
    if base is not None:
        extend_plus(Predictor.load(base), curves, images, name=out.name).save(out)
    elif method == "hyperstar_plus":
        train_plus(curves, images, name=out.name).save(out)
    elif method == "any_space":
        from hyperstar_tune.tuning.own_space import usual_values

        train_any_space(tables, images, held=usual_values(), name=out.name).save(out)
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
