"""A whole run: ranks the configurations for the images, trains them under the budget, and makes the winner a model."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from hyperstar_tune.classification import Scores
from hyperstar_tune.errors import PlanError, SearchError, TaskError
from hyperstar_tune.finetune.trainable import trainable
from hyperstar_tune.plan import Plan
from hyperstar_tune.race import RacePlan
from hyperstar_tune.search import HyperStarSearcher, PlanScheduler, make_restorable
from hyperstar_tune.tasks.task import ImageTask
from hyperstar_tune.tuning.finish import Finished, Judgement, save_best, save_refit, versions
from hyperstar_tune.tuning.history import Contender, contenders
from hyperstar_tune.tuning.losers import RemoveLosers
from hyperstar_tune.tuning.options import OPTIONS_FILE, TuneOptions
from hyperstar_tune.tuning.progress import RunProgress, as_duration
from hyperstar_tune.tuning.quiet_ray import quiet_ray, trial_resources
from hyperstar_tune.tuning.record import (
    about_judgement,
    about_plan,
    about_ranking,
    about_task,
    about_trials,
    read_record,
    write_record,
)

__all__ = ["find_run", "new_run", "tune_folder"]

RUNS = Path("runs")  # where runs are that were given no folder
FINISHED = "finished"  # status of a run that has ended
BEST, REFIT = "best", "refit"  # folders of the finished models
_USUAL_R = 32  # of the predictors that ship
_SHOWN = 5  # places of the ranking, tied configurations


@dataclass
class _Run:
    """What the steps of a run share."""

    folder: Path
    options: TuneOptions
    task: ImageTask
    plan: Plan
    console: Console
    resources: dict[str, float]


def find_run(task: str) -> Path | None:
    """The newest run of a task under ``runs/``; None if there is none."""
    wanted = _place(task)
    for path in sorted(RUNS.glob(f"*/{OPTIONS_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            options, _ = TuneOptions.load(path.parent)
        except (SearchError, PlanError):
            continue
        if _place(options.task) == wanted:
            return path.parent
    return None


def new_run(task: str) -> Path:
    """A folder for a new run under ``runs/``."""
    name = Path(task).expanduser().absolute().name or "images"
    return RUNS / f"{name.removeprefix('torchvision:')}-{datetime.now():%Y-%m-%d-%H%M%S}"


def tune_folder(options: TuneOptions, folder: Path, console: Console) -> bool:
    """Begins the run of a folder, or goes on with the one that is there.

    Args:
        options: What is asked for; a run that is there goes on with its own.
        folder: Folder of the run. On a cluster every node must be able to write it.
        console: Where it tells what it does.

    Returns:
        Whether the run ended; otherwise it was interrupted and can go on.

    Raises:
        HyperStarError: If something that was asked for cannot work.
    """
    folder = folder.expanduser().absolute()
    goes_on = (folder / OPTIONS_FILE).is_file()
    if goes_on:
        options, more = TuneOptions.load(folder)
        told = read_record(folder)
        if told.get("status") == FINISHED:
            console.print(f"{told['text']}\nThis run has ended: there is nothing to go on with")
            return True
    images = ImageTask.of(options.task)
    identity = images.identity()
    if goes_on and more.get("identity") != identity:
        raise TaskError(
            f"the images of a run must stay as they were, but {images.location} has changed since {folder} began; put "
            "them back, or begin a new run"
        )
    plan = _plan(options)
    settings = options.settings(plan.max_epochs)
    made = trainable(
        images,
        settings,
        seed=options.seed,
        keep_best_by=options.metric,
        epoch_seconds_limit=options.epoch_seconds_limit,
    )
    console.print(images.summary())
    console.print(f"network {settings.model}, weights: {settings.weights}, {settings.image_size} px\n\n{plan}\n")
    searcher = HyperStarSearcher(task=images, predictor=str(options.predictor), plan=plan, seed=options.seed)
    ranking = searcher.ranking
    if ranking is not None and not goes_on:
        for remark in ranking.remarks():
            console.print(remark)
        console.print(f"What {options.predictor} recommends for these images:\n{ranking.table(_SHOWN)}\n")
    options.save(folder, identity=identity)
    with quiet_ray():
        resources = trial_resources(options.cpus_per_trial, options.gpus_per_trial)
        run = _Run(folder, options, images, plan, console, resources)
        scheduler = PlanScheduler(plan)
        progress = RunProgress(plan.epoch_budget, None, options.metric, console)
        try:
            results = tune.run(
                tune.with_resources(made, resources),
                search_alg=searcher,
                scheduler=scheduler,
                metric=options.metric,
                mode="max",
                num_samples=-1,
                reuse_actors=True,
                raise_on_failed_trial=False,  # a failed trial has the worst score, and is named below
                max_failures=3,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
                storage_path=str(folder.parent),
                name=folder.name,
                callbacks=[progress, RemoveLosers(progress, options.metric)],
                resume=goes_on and make_restorable(folder),
                verbose=0,
            )
        finally:
            progress.close()
        return _end(run, progress, scheduler, results.trials, ranking)


def _plan(options: TuneOptions) -> Plan:
    budget = options.epochs or 0
    r = _max_epochs(budget) if options.max_epochs is None else options.max_epochs
    return RacePlan(r, budget)


def _max_epochs(budget: int) -> int:
    """R if none is chosen: as for the predictors that ship, unless the budget then has no room for a race and one more.

    A race with its winner takes 1.25 R, and one more configuration R.
    """
    return max(1, min(_USUAL_R, int(budget / 2.25)))


def _end(run: _Run, progress: RunProgress, scheduler: PlanScheduler, trials: list[Any], ranking: Any) -> bool:
    """Saves the best model, writes ``run.json`` and tells how the run went; whether it ended."""
    console, options = run.console, run.options
    finished: Finished | None = None
    kept = {
        trial.trial_id: int(newest.metrics.get("training_iteration", 0))
        for trial in trials
        if (newest := trial.latest_checkpoint_result) is not None and Path(newest.checkpoint.path).is_dir()
    }
    order = contenders(progress, options.metric, kept)
    ended = scheduler.finished
    record: dict[str, Any] = {
        "status": FINISHED if ended else "interrupted",
        "options": {**vars(options)},
        "task": about_task(run.task),
        "plan": about_plan(run.plan),
        "ranking": about_ranking(ranking),
        "spent": {
            "epochs": scheduler.spent_epochs,
            "redone_epochs": scheduler.redone_epochs,
            "seconds": progress.at_s,
            "configurations": len(progress.configs),
        },
        "summary": scheduler.summary(),
        "trials": about_trials(progress, trials, ranking, scheduler.faults),
        "versions": versions(),
    }
    if order:
        checkpoints = {t.trial_id: t.latest_checkpoint_result.checkpoint.path for t in trials if t.trial_id in kept}
        ties = [c for c in contenders(progress, options.metric) if c.standing[0] == order[0].standing[0]]
        finished = _save(run, order[0], checkpoints[order[0].trial], ended)
        record["winner"] = {
            "trial": order[0].trial,
            "config": order[0].config,
            "epoch": order[0].row["epoch"],
            "metrics": {name: value for name, value in order[0].row.items() if isinstance(value, float)},
            "tied_with": [c.trial for c in ties if c.trial != order[0].trial],
            "model": BEST,
        }
        record["validation"], record["test"] = about_judgement(finished.validation), about_judgement(finished.test)
        record["text"] = _result(run, order[0], ties, finished)
        console.print(record["text"])
    console.print(f"Spent {scheduler.spent_epochs} epochs and {as_duration(progress.at_s)} on {len(progress.configs)} "
                  f"configurations")  # fmt: skip
    if not ended:
        write_record(run.folder, record)
        console.print(
            f"Interrupted with {scheduler.spent_epochs} of {run.plan.epoch_budget} epochs spent. Kept: the results so "
            f"far and the checkpoints of all configurations that are still in it, in {_shown(run.folder)}\n"
            f"Go on with: hyperstar tune {options.task} --out {_shown(run.folder)} --resume"
        )
        return False
    if finished is None:
        record["text"] = "No configuration finished an epoch: there is no model"
        console.print(record["text"])
        write_record(run.folder, record)
        return True
    if options.refit:
        _refit(run, order[0], finished)
    write_record(run.folder, record)
    console.print(f"Use it:  hyperstar predict {_shown(run.folder / (REFIT if options.refit else BEST))} IMAGES...")
    return True


def _save(run: _Run, winner: Contender, checkpoint: str, ended: bool) -> Finished:
    def about(validation: Judgement, test: Judgement | None) -> dict[str, Any]:
        return _card(run, winner, validation, test)

    return save_best(
        run.folder / BEST,
        run.task,
        winner.config,
        run.options.settings(run.plan.max_epochs),
        checkpoint,
        seed=run.options.seed,
        resources=run.resources,
        with_test=ended,
        about=about,
    )


def _card(run: _Run, winner: Contender, validation: Judgement, test: Judgement | None) -> dict[str, Any]:
    options = run.options
    texts = [f"Fine-tuned on {run.task.summary()}.", f"Accuracy: {_accuracy(validation, test)}."]
    return {
        "task": {"name": run.task.name, "n_train": run.task.n_train, "n_val": run.task.n_val},
        "trained_from": {"model": options.model, "weights": options.weights},
        "config": winner.config,
        "epoch": winner.row["epoch"],
        "seed": options.seed,
        "metric": options.metric,
        "validation": vars(validation.scores),
        "test": vars(test.scores) if test is not None else None,
        "versions": versions(),
        "readme": "\n\n".join([*texts, f"Configuration: {_listed(winner.config)}; epoch {winner.row['epoch']}."]),
    }


def _refit(run: _Run, winner: Contender, finished: Finished) -> None:
    epochs = finished.epoch
    run.console.print(f"Training the winner once more for {epochs} epochs, on training and validation images together")
    about = _card(run, winner, finished.validation, finished.test)
    about["readme"] = (
        "Trained on training and validation images together, so that no honest accuracy of this very model can be "
        f"given; the figures are of the same configuration trained without validation images.\n\n{about['readme']}"
    )
    save_refit(
        run.folder / REFIT,
        run.task,
        winner.config,
        run.options.settings(run.plan.max_epochs),
        epochs,
        seed=run.options.seed,
        resources=run.resources,
        about={**about, "refit": True},
    )
    run.console.print("No honest accuracy of this model can be given but the one above")


def _result(run: _Run, winner: Contender, ties: list[Contender], finished: Finished) -> str:
    lines = [f"Winner: {_listed(winner.config)}", f"  {_accuracy(finished.validation, finished.test)}"]
    lines.append(f"  after epoch {finished.epoch} of {run.plan.max_epochs}")
    if len(ties) > 1:
        name = run.options.metric.removeprefix("val_").replace("_", " ")
        lines.append(
            f"  {len(ties)} configurations tie at {name} {winner.standing[0]:.3f} on {run.task.n_val} validation "
            "images; the lower validation loss decided. The others:"
        )
        others = [c for c in ties if c.trial != winner.trial]
        lines += [f"    {_listed(c.config)}" for c in others[:_SHOWN]]
        lines += [f"    and {len(others) - _SHOWN} more"] * (len(others) > _SHOWN)
    lines.append(f"  model: {_shown(finished.folder)}")
    return "\n".join(lines)


def _accuracy(validation: Judgement, test: Judgement | None) -> str:
    parts = [f"validation images: {_scores(validation.scores)}, too high as they chose it"]
    if test is not None:
        parts.append(f"test images, which chose nothing: {_scores(test.scores)}")
    return "; ".join(parts)


def _scores(scores: Scores) -> str:
    low, high = scores.interval
    return (
        f"{scores.accuracy:.3f} [{low:.3f}, {high:.3f}] on {scores.n}, balanced {scores.balanced_accuracy:.3f}, "
        f"macro-F1 {scores.macro_f1:.3f}"
    )


def _listed(config: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in config.items())


def _place(task: str) -> str:
    return task if task.startswith("torchvision:") else str(Path(task).expanduser().absolute())


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
