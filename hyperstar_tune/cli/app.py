"""The ``hyperstar`` command itself: its groups, how it prints, and how it ends.

A user's mistake ends it with one line and status 2; any other error is a bug and keeps its traceback.
"""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

import hyperstar_tune
from hyperstar_tune.errors import HyperStarError, TaskError

if TYPE_CHECKING:
    from hyperstar_tune.tasks import ImageTask

__all__ = ["app", "console", "find_task", "main", "metadataset_app", "predictors_app", "task_source", "tasks_app"]

_FROM_IMAGES_TO_A_MODEL = ("tune", "predict", "report", "export-model")
_BEFORE_A_RUN = ("tasks", "rank", "plan")
_OWN_PREDICTORS = (
    "importance",
    "record",
    "collect",
    "export",
    "import-curves",
    "metadataset",
    "meta-train",
    "predictors",
)
_IN_ORDER_OF_USE = (*_FROM_IMAGES_TO_A_MODEL, *_BEFORE_A_RUN, *_OWN_PREDICTORS, "sweep")


class _Commands(TyperGroup):
    """Lists the commands with those first that a new user needs first."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_IN_ORDER_OF_USE.index)


app = typer.Typer(
    cls=_Commands,
    help="Hyperparameter search that looks at your images first.",
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


def _print_version(asked: bool) -> None:
    if asked:
        print(hyperstar_tune.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the ``hyperstar`` script."""
    gc.set_threshold(50_000)  # PyTorch brings along some hundred thousand objects that stay: looked through more seldom
    try:
        app()
    except HyperStarError as error:
        print(f"hyperstar: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        gc.freeze()  # and not once more at the end, where it would take half a second


def find_task(text: str) -> "ImageTask":
    """A task, or of ``SOURCE@KIND`` its sub-task; folders may have an @ in their names."""
    from hyperstar_tune.tasks import SUB_TASKS, ImageTask

    source, at, kind = text.rpartition("@")
    if not at or "/" in kind or Path(text).is_dir():
        return ImageTask.of(text)
    if kind not in SUB_TASKS:
        raise TaskError(f"a sub-task is one of @{', @'.join(SUB_TASKS)}, but got {text!r}")
    return ImageTask.of(source).sub_task(kind)


def task_source(name: str, location: str, folder: Path) -> str:
    """Where the images of a task of a table are: in a data set of torchvision, or in a folder named like the task."""
    _, at, kind = name.partition("@")
    return f"{location}{at}{kind}" if location.startswith("torchvision:") else str(folder / name)
