"""The record of a made-up run on the digits, as ``hyperstar tune`` leaves it."""

import json
from types import SimpleNamespace

import numpy as np
from digit_images import write_digits

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.finetune import OWN_MODEL, FineTuneSettings
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.race import RacePlan
from hyperstar_tune.tasks import ImageTask
from hyperstar_tune.tuning.finish import Judgement
from hyperstar_tune.tuning.history import RunHistory, contenders
from hyperstar_tune.tuning.record import (
    RECORD,
    about_judgement,
    about_plan,
    about_ranking,
    about_task,
    about_trials,
    write_record,
)

R = 4
SETTINGS = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32, max_epochs=R)


def made_up_run(folder, n_trials=8, rename=None, metric="val_accuracy"):
    """Writes images and ``run.json``; gives the run's folder. ``rename`` gives classes other names."""
    images = write_digits(folder / "images")
    for split in ("train", "val"):
        for old, new in (rename or {}).items():
            (images / split / old).rename(images / split / new)
    task, predictor = ImageTask.from_folder(images), Predictor.load("shufflenet-v2-x1-64px")
    ranking, rng = predictor.rank(task), np.random.default_rng(0)
    history, trials = RunHistory(), []
    for number in range(n_trials):
        trials.append(SimpleNamespace(trial_id=f"t{number}", config=dict(ranking.configs[number]), status="TERMINATED"))
        for epoch in range(1, (1 if number == 1 else R) + 1):
            right = rng.random(task.n_val) < 0.4 + 0.1 * epoch + 0.02 * number
            accuracy = float(right.mean())
            metrics = {"val_accuracy": accuracy, "val_macro_f1": accuracy - 0.1, "val_loss": 1 - accuracy}
            result = {"training_iteration": epoch, "val_correct": pack_correct(right), **metrics}
            history.work_s += 40
            history.on_trial_result(iteration=0, trials=[], trial=trials[-1], result=result)
    trials[-1].status = "ERROR"
    order = contenders(history, metric)
    names = [task.sources["val"].name(i) for i in range(task.n_val)]
    labels = [task.classes[i] for i in task.val_labels]
    taken = [labels[0] if i % 5 == 0 else label for i, label in enumerate(labels)]
    judgement = Judgement.of(zip(names, labels, taken, rng.random(task.n_val).tolist(), strict=True), task.classes)
    write_record(
        folder / "run",
        {
            "status": "finished",
            "options": {"task": str(images), "model": OWN_MODEL, "metric": metric, "hours": None, "seed": 0},
            "task": about_task(task),
            "plan": about_plan(RacePlan(R, 40)),
            "ranking": about_ranking(ranking, predictor, task, SETTINGS),
            "spent": {
                "epochs": len(history.rows),
                "redone_epochs": 1,
                "seconds": history.at_s,
                "configurations": len(history.configs),
            },
            "summary": f"{len(history.rows)} of 40 epochs spent; the worker died at {names[0]}",
            "trials": about_trials(
                history, trials, ranking, {trials[-1].trial_id: f"the worker died at {names[0]}"}, metric
            ),
            "versions": {"python": "3"},
            "text": "No configuration finished an epoch: there is no model",
        }
        | (
            {
                "winner": {
                    "trial": order[0].trial,
                    "config": order[0].config,
                    "epoch": order[0].row["epoch"],
                    "metrics": {},
                    "expected": {"plain": 0.9, "corrected": 0.85, "low": 0.7, "high": 0.95, "n_images": task.n_val},
                    "tied_with": [order[1].trial],
                    "model": "best",
                },
                "validation": about_judgement(judgement),
                "test": None,
            }
            if order
            else {}
        ),
    )
    return folder / "run"


def edit_record(run, **entries):
    """Changes entries of a run's record."""
    record = json.loads((run / RECORD).read_text())
    (run / RECORD).write_text(json.dumps(record | entries))
