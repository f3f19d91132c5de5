"""Runs under plans of any kind, budget, number of workers and faults, as inputs of the fuzz.

An input is a description of a run. A plan that makes no sense is refused; any other run must end, with its budget met
and no trial left behind.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, PlanScheduler, RacePlan, Ranking
from hyperstar_tune.plan import Plan
from hyperstar_tune.simulation import MadeUpCurves, VirtualController, faults

__all__ = ["SOUND_RUN", "draw_run", "read_run"]

SOUND_RUN = {
    "kind": "race",
    "plan": {"max_epochs": 8, "epoch_budget": 40, "race_epochs": 2, "seconds_budget": 0},
    "workers": 3,
    "configs": 20,
    "price": 0.5,
    "faults": {"5": "error"},
    "seed": 0,
}
_FAULTS = ("crash", "diverge", "done", "error", "fail_save", "lose")


def draw_run(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """Another run than the sound one."""
    kind = chance.choice(("race", "race", "hyperband"))
    plan: dict[str, Any] = {
        "max_epochs": chance.choice((0, 1, 2, 3, 4, 8, 8, 9, 9, 16, 27)),
        "epoch_budget": chance.choice((0, 0, 1, 3, 16, 17, 40, 40, 100, 100, 200, 200, 2.5)),
        "seconds_budget": chance.choice((0, 0, 0, 0, 0.1, 4, 20, 20, 60.5, 1e400)),
    }
    if kind == "race":
        plan["race_epochs"] = chance.choice((-1, -1, -1, -1, 0, 1, 2, 3, 1.5))
    else:
        plan |= {"eta": chance.choice((1, 2, 3, 4)), "longest_first": chance.random() < 0.5}
    run = {
        "kind": kind,
        "plan": plan,
        "workers": chance.choice((1, 1, 2, 3, 5, 16)),
        "configs": chance.choice((1, 2, 3, 7, 50, 200)),
        "price": chance.choice((0, 0.01, 0.5, 100)),  # predicted seconds of an epoch; 0: none
        "faults": {
            str(chance.randrange(1, 60)): chance.choice(_FAULTS) for _ in range(chance.choice((0, 0, 1, 3, 20)))
        },
        "seed": chance.randrange(100),
    }
    return {"run.json": json.dumps(run).encode()}


def read_run(folder: Path) -> None:
    """Runs it in process, and raises if a promise does not hold."""
    about = json.loads((folder / "run.json").read_text())
    kind: type[Plan] = RacePlan if about["kind"] == "race" else HyperBandPlan
    plan = kind(**about["plan"])
    n = about["configs"]
    costs = [about["price"]] * n if about["price"] else None
    falls = [[-0.1 if x != y else 0.0 for x in range(n)] for y in (0, n // 2)]
    ranking = Ranking.of([{"x": x} for x in range(n)], [-x for x in range(n)], falls=np.array(falls), costs=costs)
    scheduler = PlanScheduler(plan, metric="val_accuracy", mode="max")
    scheduler.set_search_properties("val_accuracy", "max")
    controller = VirtualController(
        MadeUpCurves(lambda config, epoch: config["x"] % 7 + epoch / 100, plan.max_epochs, seed=about["seed"]),
        HyperStarSearcher(ranking=ranking, plan=plan),
        scheduler,
        n_workers=about["workers"],
        faults={int(place): getattr(faults, name) for place, name in about["faults"].items()},
        save_s=0.1,
    )
    controller.run()
    gate = controller.search_alg.searcher.gate
    left = [trial.trial_id for trial in controller.get_trials() if not trial.is_finished()]
    if controller.stalled or left:
        raise AssertionError(f"the run stalls with trials {left}: {scheduler.debug_string()}")
    if controller.epochs != gate.spent:
        raise AssertionError(f"{gate.account} charged, but {controller.epochs} epochs trained")
    if plan.epoch_budget and gate.spent > plan.epoch_budget:
        raise AssertionError(f"{gate.account} are more than the budget")
    if (
        plan.seconds_budget and gate.seconds >= plan.seconds_budget + about["workers"]
    ):  # an epoch takes at most a second
        raise AssertionError(f"{gate.account} are more than the budget and the epochs in flight")
    if not gate.is_spent and not gate.early_end:
        raise AssertionError(f"{gate.account}, but the run ended without a reason")
