"""The command that prints a plan, and what it takes on a folder of images."""

from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console
from hyperstar_tune.errors import PlanError
from hyperstar_tune.shipped import DEFAULT_PREDICTOR


@app.command()
def plan(
    max_epochs: Annotated[int, typer.Argument(help="R: epochs of a configuration that is trained to the end.")],
    epoch_budget: Annotated[int, typer.Option(help="Epochs of all trials together.")] = 0,
    seconds: Annotated[float, typer.Option(help="Seconds of all trials together. Without any budget: one pass.")] = 0,
    race_epochs: Annotated[
        int | None, typer.Option(help="Epochs that each of the two of a race trains; 0: no race. [default: R / 4]")
    ] = None,
    eta: Annotated[
        int | None, typer.Option(help="Hyperband instead of a race: one in eta survives a rung. [default: 3]")
    ] = None,
    longest_first: Annotated[
        bool, typer.Option("--longest-first", help="Hyperband that begins with the bracket whose trials train longest.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of images, for which seconds are predicted.")] = None,
    predictor: Annotated[str, typer.Option(help="With --data: a shipped predictor or a folder.")] = DEFAULT_PREDICTOR,
) -> None:
    """Prints the race (with --eta: Hyperband's brackets) that a run goes through, and what its budget reaches."""
    from hyperstar_tune.plan import HyperBandPlan
    from hyperstar_tune.race import RacePlan

    if eta is not None or longest_first:
        if race_epochs is not None or data is not None:
            raise PlanError("--race-epochs and --data are for a race, but got --eta or --longest-first; leave one out")
        brackets = HyperBandPlan(
            max_epochs, 3 if eta is None else eta, epoch_budget, longest_first=longest_first, seconds_budget=seconds
        )
        console.print(str(brackets))
        return
    race = RacePlan(
        max_epochs, epoch_budget, race_epochs=-1 if race_epochs is None else race_epochs, seconds_budget=seconds
    )
    console.print(str(race))
    if data is None:
        return
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.tasks import ImageTask

    ranking = Predictor.load(predictor).rank(ImageTask.from_folder(data))
    if not ranking.costs:
        raise PlanError(f"predictor {predictor!r} must know what an epoch costs, but does not; leave out --data")
    if seconds:
        ranking = ranking.by_cost()
    costs = [ranking.costs[place] for place in (ranking.order() if race.has_race else range(len(ranking)))]
    console.print(race.predicted(costs))
