"""The command that prints a plan, or recommends one for the time there is, and says what it reaches."""

from pathlib import Path
from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console
from hyperstar_tune.errors import PlanError
from hyperstar_tune.shipped import DEFAULT_PREDICTOR


@app.command()
def plan(
    max_epochs: Annotated[
        int | None,
        typer.Argument(help="R: epochs of a configuration that is trained to the end.", show_default="by the budget"),
    ] = None,
    epoch_budget: Annotated[int, typer.Option(help="Epochs of all trials together.")] = 0,
    seconds: Annotated[float, typer.Option(help="Seconds of all trials together. Without any budget: one pass.")] = 0,
    hours: Annotated[float, typer.Option(help="The same in hours.")] = 0,
    race_epochs: Annotated[
        int | None, typer.Option(help="Epochs that each of the two of a race trains; 0: no race.", show_default="R / 4")
    ] = None,
    eta: Annotated[
        int | None, typer.Option(help="Hyperband instead of a race: one in eta survives a rung.", show_default="3")
    ] = None,
    longest_first: Annotated[
        bool, typer.Option("--longest-first", help="Hyperband that begins with the bracket whose trials train longest.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of images, for which seconds are predicted.")] = None,
    predictor: Annotated[str, typer.Option(help="With --data: a shipped predictor or a folder.")] = DEFAULT_PREDICTOR,
) -> None:
    """Prints the race (with --eta: Hyperband's brackets) for a budget, and what that reaches.

    Without MAX_EPOCHS it recommends one plan: hyperstar plan --hours 2 --data FOLDER
    """
    from hyperstar_tune.plan import HyperBandPlan
    from hyperstar_tune.race import RacePlan
    from hyperstar_tune.reach import budget_remark, fitting_max_epochs, predicted

    if hours and seconds:
        raise PlanError(
            f"a budget of time is one of --hours and --seconds, but got {hours} and {seconds}; leave one out"
        )
    seconds = seconds or 3600 * hours
    if max_epochs is None and not epoch_budget and not (seconds and data):
        raise PlanError(
            "a plan is recommended for --hours and --data FOLDER, or for --epoch-budget; or name MAX_EPOCHS"
        )
    if eta is not None or longest_first:
        if race_epochs is not None or data is not None or max_epochs is None:
            raise PlanError(
                "--race-epochs, --data and a plan without MAX_EPOCHS are for a race, but got --eta or --longest-first; "
                "leave one out"
            )
        brackets = HyperBandPlan(
            max_epochs, 3 if eta is None else eta, epoch_budget, longest_first=longest_first, seconds_budget=seconds
        )
        console.print("\n".join(filter(None, [str(brackets), budget_remark(brackets)])))
        return
    costs = _seconds_per_epoch(data, predictor, bool(seconds)) if data is not None else []
    recommended = fitting_max_epochs(epoch_budget or None, seconds, costs)
    race = RacePlan(
        recommended if max_epochs is None else max_epochs,
        epoch_budget,
        race_epochs=-1 if race_epochs is None else race_epochs,
        seconds_budget=seconds,
    )
    if max_epochs is None:
        budget = f"epoch_budget={epoch_budget}" if epoch_budget else f"seconds_budget={seconds:g}"
        console.print(f"Recommended: RacePlan(max_epochs={recommended}, {budget})")
    console.print("\n".join(filter(None, [str(race), budget_remark(race)])))
    if costs:
        console.print(predicted(race, costs))


def _seconds_per_epoch(data: Path, predictor: str, by_cost: bool) -> list[float]:
    """Predicted seconds per epoch for a folder of images, in the order in which a race takes the configurations."""
    from hyperstar_tune.predictor import Predictor
    from hyperstar_tune.tasks import ImageTask

    ranking = Predictor.load(predictor).rank(ImageTask.from_folder(data))
    if not ranking.costs:
        raise PlanError(f"predictor {predictor!r} must know what an epoch costs, but does not; leave out --data")
    ranking = ranking.by_cost() if by_cost else ranking
    return [ranking.costs[place] for place in ranking.order()]
