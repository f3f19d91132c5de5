"""How far a run is and how long it will take: a bar on a terminal, and a line now and then in a log."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hyperstar_tune.reach import as_duration
from hyperstar_tune.report.words import metric_name
from hyperstar_tune.tuning.history import RunHistory, contenders

__all__ = ["RunProgress"]

_LINE_EVERY_S = 60.0


class RunProgress(RunHistory):
    """Keeps the results of a run and shows them as they come.

    Args:
        budget: Epochs of all trials together, or None if the run ends by the clock.
        seconds: Seconds after which the run ends, or None if it ends by its epochs.
        metric: The metric that decides.
        console: Where to; a bar if it is a terminal, else lines.
        line_every_s: Seconds between two lines.
    """

    def __init__(
        self,
        budget: int | None,
        seconds: float | None,
        metric: str,
        console: Console,
        line_every_s: float = _LINE_EVERY_S,
    ) -> None:
        super().__init__()
        self._budget, self._seconds, self._metric = budget, seconds, metric
        self._console, self._every_s = console, line_every_s
        self._bar: Progress | None = None
        self._told_s = -line_every_s  # so that the first result has a line
        self._session_rows = 0  # of this process

    def setup(self, *args: Any, **info: Any) -> None:
        """Draws the empty bar."""
        if self._console.is_terminal:
            columns = (TextColumn("epochs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console)
            self._row = self._bar.add_task("starting", total=self._budget, completed=len(self.rows))
            self._bar.start()
        else:
            self._console.print("starting the first trials")

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        """Notes the result, and shows it."""
        n_before = len(self.rows)
        super().on_trial_result(*args, **info)
        if len(self.rows) == n_before:
            return
        self._session_rows += 1
        if self._bar is not None:
            self._bar.update(self._row, completed=len(self.rows), description=self.text())
        elif self.at_s - self._told_s >= self._every_s:
            self._told_s = self.at_s
            of = f" of {self._budget}" if self._budget is not None else ""
            self._console.print(f"{len(self.rows)}{of} epochs, {self.text()}")

    def text(self) -> str:
        """Best result so far, time spent and time left."""
        best = contenders(self, self._metric)
        parts = [f"best {metric_name(self._metric)} {best[0].row[self._metric]:.3f}"] if best else ["no result yet"]
        parts.append(f"{len(self.configs)} configuration{'s' * (len(self.configs) != 1)}")
        parts.append(f"{as_duration(self.at_s)} spent")
        left = self.seconds_left()
        return ", ".join([*parts, f"about {as_duration(left)} left"] if left is not None else parts)

    def seconds_left(self) -> float | None:
        """Seconds until the run ends, by its clock or by the pace of this process's epochs; None: not known.

        The pace is that since the first epoch, which also took the start of Ray and the reading of images.
        """
        by_clock = None if self._seconds is None else max(0.0, self._seconds - self.at_s)
        n_since = self._session_rows - 1
        if self._budget is None or n_since < 1:
            return by_clock
        each = (self.at_s - self.rows[-1 - n_since]["at_s"]) / n_since
        by_epochs = each * max(0, self._budget - len(self.rows))
        return by_epochs if by_clock is None else min(by_clock, by_epochs)

    def close(self) -> None:
        """Leaves the bar standing as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Leaves the bar standing."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_bar": None, "_console": None}  # a live display does not travel
