"""A whole run: ranks the configurations for the images, trains them under the budget, and makes the winner a model."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from hyperstar_tune.errors import PlanError, SearchError
from hyperstar_tune.finetune.trainable import trainable
from hyperstar_tune.plan import Plan
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.race import RacePlan
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.reach import USUAL_R, as_duration, predicted
from hyperstar_tune.report.words import listed
from hyperstar_tune.search import HyperStarSearcher, PlanScheduler, make_restorable
from hyperstar_tune.tasks.identity import refuse_changed_data
from hyperstar_tune.tasks.task import ImageTask
from hyperstar_tune.tuning.finish import Finished, Judgement, save_best, save_refit, versions
from hyperstar_tune.tuning.history import Contender, contenders, kept_epochs
from hyperstar_tune.tuning.losers import RemoveLosers
from hyperstar_tune.tuning.options import OPTIONS_FILE, TuneOptions
from hyperstar_tune.tuning.own_space import searched_space
from hyperstar_tune.tuning.planning import choose_max_epochs, make_plan, parallel_trials
from hyperstar_tune.tuning.progress import RunProgress
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
from hyperstar_tune.tuning.telling import accuracy_text, expected_accuracy, shown, winner_text

__all__ = ["find_run", "new_run", "tune_folder"]

RUNS = Path("runs")  # where runs are that were given no folder
FINISHED = "finished"  # status of a run that has ended
BEST, REFIT = "best", "refit"  # folders of the finished models
_SHOWN = 5  # places of the ranking
_STARTING_S = 60.0  # that Ray and the first trials may take to start


@dataclass
class _Run:
    """What the steps of a run share."""

    folder: Path
    options: TuneOptions
    task: ImageTask
    plan: Plan
    ranking: Ranking
    predictor: Predictor
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


def tune_folder(options: TuneOptions, folder: Path, console: Console, accept_changed_data: bool = False) -> bool:
    """Begins the run of a folder, or goes on with the one that is there.

    Args:
        options: What is asked for; a run that is there goes on with its own.
        folder: Folder of the run. On a cluster every node must be able to write it.
        console: Where it tells what it does.
        accept_changed_data: Whether to go on though labels or images have changed since the run began.

    Returns:
        Whether the run ended; otherwise it was interrupted and can go on.

    Raises:
        HyperStarError: If something that was asked for cannot work.
    """
    folder = folder.expanduser().absolute()
    goes_on = (folder / OPTIONS_FILE).is_file()
    more: dict[str, Any] = {}
    if goes_on:
        options, more = TuneOptions.load(folder)
        told = read_record(folder)
        if told.get("status") == FINISHED:
            console.print(f"{told['text']}\nThis run has ended: there is nothing to go on with")
            return True
    task = ImageTask.of(options.task)
    if not accept_changed_data:
        refuse_changed_data(more.get("identity"), task.identity(), f"the run {shown(folder)}")
    predictor = Predictor.load(str(options.predictor)).under(options.settings(USUAL_R).fingerprint())
    space = searched_space(options, predictor)
    ranking = predictor.rank_space(task, space, seed=options.seed)
    max_epochs = more.get("max_epochs") or choose_max_epochs(options, ranking)
    made = trainable(
        task,
        options.settings(max_epochs),
        seed=options.seed,
        keep_best_by=options.metric,
        epoch_seconds_limit=options.epoch_seconds_limit,
        accept_changed_data=accept_changed_data,
    )
    with quiet_ray():
        resources = trial_resources(options.cpus_per_trial, options.gpus_per_trial)
        parallel = more.get("parallel") or parallel_trials(resources)
        plan = make_plan(options, max_epochs, parallel)
        searcher = HyperStarSearcher(
            task=task,
            predictor=predictor,
            space=space if options.space is not None else None,
            plan=plan,
            seed=options.seed,
            accept_changed_data=accept_changed_data,
        )
        run = _Run(folder, options, task, plan, searcher.ranking or ranking, predictor, console, resources)
        _introduce(run, goes_on)
        options.save(folder, identity=task.identity(), max_epochs=max_epochs, parallel=parallel)
        scheduler = PlanScheduler(plan)
        seconds = 3600 * options.hours if options.hours else None
        progress = RunProgress(options.epochs, seconds, options.metric, console)
        worked_s = read_record(folder).get("spent", {}).get("seconds", 0.0)
        try:
            results = tune.run(
                tune.with_resources(made, resources),
                search_alg=searcher,
                scheduler=scheduler,
                metric=options.metric,
                mode="max",
                num_samples=-1,
                reuse_actors=True,
                raise_on_failed_trial=False,  # a failed trial has the worst score, and is named at the end
                max_failures=3,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
                storage_path=str(folder.parent),
                name=folder.name,
                callbacks=[progress, RemoveLosers(progress, options.metric)],
                resume=goes_on and make_restorable(folder),
                # The plan counts the seconds of training; this ends a run whose processes take much longer to start.
                time_budget_s=None if seconds is None else max(1.0, 1.1 * seconds + _STARTING_S - worked_s),
                verbose=0,
            )
        finally:
            progress.close()
        return _end(run, progress, scheduler, results.trials)


def _introduce(run: _Run, goes_on: bool) -> None:
    settings, ranking, say = run.options.settings(run.plan.max_epochs), run.ranking, run.console.print
    say(run.task.summary())
    say(f"network {settings.model}, weights: {settings.weights}, {settings.image_size} px\n\n{run.plan}")
    if isinstance(run.plan, RacePlan) and ranking.costs:
        say(predicted(run.plan, [ranking.costs[place] for place in ranking.order()]))
    say("")
    if not goes_on:
        say(f"What {run.options.predictor} recommends for these images:\n{ranking.table(_SHOWN)}")
        for remark in (*ranking.remarks(), *filter(None, [ranking.race_remark()])):
            say(remark)
        say("")


def _end(run: _Run, progress: RunProgress, scheduler: PlanScheduler, trials: list[Any]) -> bool:
    """Saves the best model, writes ``run.json`` and tells how the run went; whether it ended."""
    options, say = run.options, run.console.print
    order = contenders(progress, options.metric, kept_epochs(trials))
    ended = scheduler.finished
    record: dict[str, Any] = {
        "status": FINISHED if ended else "interrupted",
        "options": vars(options),
        "task": about_task(run.task),
        "plan": about_plan(run.plan),
        "ranking": about_ranking(run.ranking, run.predictor, run.task, options.settings(run.plan.max_epochs)),
        "spent": {
            "epochs": scheduler.spent_epochs,
            "redone_epochs": scheduler.redone_epochs,
            "seconds": progress.at_s,
            "configurations": len(progress.configs),
        },
        "summary": scheduler.summary(),
        "trials": about_trials(progress, trials, run.ranking, scheduler.faults, options.metric),
        "versions": versions(),
        "text": "No configuration finished an epoch: there is no model",
    }
    finished = None
    if order:
        checkpoint = next(t.checkpoint.path for t in trials if t.trial_id == order[0].trial)
        finished = _finish(run, progress, order[0], checkpoint, ended, record)
    say(record["text"])
    if ended and finished is not None and options.refit:
        _refit(run, order[0], finished, record)
    write_record(run.folder, record)
    n_configs, took = len(progress.configs), as_duration(progress.at_s)
    say(f"Spent {scheduler.spent_epochs} epochs on {n_configs} configuration{'s' * (n_configs != 1)} in {took}")
    if not ended:
        say(
            "Interrupted. Kept: the results so far and the checkpoints of all configurations that are still in it, in "
            f"{shown(run.folder)}\nGo on with: hyperstar tune {options.task} --out {shown(run.folder)} --resume"
        )
    elif finished is not None:
        say(f"Use it:  hyperstar predict {shown(run.folder / REFIT if options.refit else run.folder)} IMAGES...")
    say(f"See why: hyperstar report {shown(run.folder)}")
    return ended


def _finish(
    run: _Run, progress: RunProgress, winner: Contender, checkpoint: str, ended: bool, record: dict[str, Any]
) -> Finished:
    """Saves the winner's model, and adds to the record what is known of it."""
    options = run.options
    expected = expected_accuracy(progress, options.metric, run.task)
    ties = [c for c in contenders(progress, options.metric) if c.standing[0] == winner.standing[0]]

    def about(validation: Judgement, test: Judgement | None) -> dict[str, Any]:
        text = accuracy_text(expected, options.metric, validation, test)
        return {
            "task": {"name": run.task.name, "n_train": run.task.n_train, "n_val": run.task.n_val},
            "trained_from": {"model": options.model, "weights": options.weights},
            "config": winner.config,
            "epoch": winner.row["epoch"],
            "seed": options.seed,
            "metric": options.metric,
            "expected": expected._asdict() if expected is not None else None,
            "validation": vars(validation.scores),
            "test": vars(test.scores) if test is not None else None,
            "versions": versions(),
            "readme": f"Fine-tuned on {run.task.summary()}.\n\n{text}\n\nConfiguration: {listed(winner.config)}; epoch "
            f"{winner.row['epoch']} of {run.plan.max_epochs}.",
        }

    finished = save_best(
        run.folder / BEST,
        run.task,
        winner.config,
        options.settings(run.plan.max_epochs),
        checkpoint,
        seed=options.seed,
        resources=run.resources,
        with_test=ended,
        about=about,
    )
    record["winner"] = {
        "trial": winner.trial,
        "config": winner.config,
        "epoch": finished.epoch,
        "metrics": {name: value for name, value in winner.row.items() if isinstance(value, float)},
        "expected": expected._asdict() if expected is not None else None,
        "tied_with": [c.trial for c in ties if c.trial != winner.trial],
        "model": BEST,
    }
    record["validation"], record["test"] = about_judgement(finished.validation), about_judgement(finished.test)
    accuracy = accuracy_text(expected, options.metric, finished.validation, finished.test)
    epochs = (finished.epoch, run.plan.max_epochs)
    text = winner_text(winner, ties, accuracy, epochs, options.metric, run.task.n_val)
    record["text"] = f"{text}\n  model: {shown(finished.folder)}"
    return finished


def _refit(run: _Run, winner: Contender, finished: Finished, record: dict[str, Any]) -> None:
    """Trains the winner's configuration on all images, and saves that model beside the other."""
    say, epochs = run.console.print, finished.epoch
    say(f"Training the winner once more for {epochs} epochs, on training and validation images together")
    rule = "No honest accuracy of this model can be given but that of the same configuration without validation images"
    readme = f"Trained on training and validation images together. {rule}.\n\n{finished.about['readme']}"
    save_refit(
        run.folder / REFIT,
        run.task,
        winner.config,
        run.options.settings(run.plan.max_epochs),
        epochs,
        seed=run.options.seed,
        resources=run.resources,
        about={**finished.about, "refit": True, "readme": readme},
    )
    record["refit"] = {"model": REFIT, "epochs": epochs}
    say(f"{rule}: see above")


def _place(task: str) -> str:
    return task if task.startswith("torchvision:") else str(Path(task).expanduser().absolute())
