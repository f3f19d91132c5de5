"""The command that prints the brackets of a plan."""

from typing import Annotated

import typer

from hyperstar_tune.cli.app import app, console


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
