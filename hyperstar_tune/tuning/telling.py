"""What a run tells a person about its winner: what can be expected of it, who ties with it, how sure that is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyperstar_tune.choosing import ChosenAccuracy, chosen_accuracy, unpack_correct
from hyperstar_tune.classification import Scores
from hyperstar_tune.report.words import listed, metric_name
from hyperstar_tune.tasks.task import ImageTask
from hyperstar_tune.tuning.finish import Judgement
from hyperstar_tune.tuning.history import Contender, RunHistory

__all__ = ["accuracy_text", "expected_accuracy", "shown", "winner_text"]

_SHOWN = 5  # tied configurations
_CORRECTED = ("val_accuracy", "val_balanced_accuracy")  # means over images, of which folds can be left out


def expected_accuracy(history: RunHistory, metric: str, task: ImageTask) -> ChosenAccuracy | None:
    """What the winner can be expected to reach on new images, by the metric that chose it.

    None if that is not known: for macro-F1, which is no mean over images, or without any result.
    """
    if metric not in _CORRECTED:
        return None
    rows = sorted((row for row in history.rows if row.get("val_correct")), key=lambda row: row["val_loss"])
    distinct = list(dict.fromkeys(row["val_correct"] for row in rows))  # of equal ones the lower loss is chosen
    if not distinct:
        return None
    weights = None
    if metric == "val_balanced_accuracy":
        counts = np.bincount(task.val_labels, minlength=len(task.classes))
        weights = task.n_val / (len(task.classes) * counts[task.val_labels])
    return chosen_accuracy(unpack_correct(distinct), weights=weights)


def winner_text(
    winner: Contender, ties: Sequence[Contender], accuracy: str, epochs: tuple[int, int], metric: str, n_images: int
) -> str:
    """The winner, what is known of its accuracy, and with whom it ties.

    Args:
        winner: The winner.
        ties: All that have its value of the metric, the winner included.
        accuracy: What ``accuracy_text`` says.
        epochs: Its best epoch, and R.
        metric: The metric that decides.
        n_images: Number of validation images.
    """
    lines = [f"Winner: {listed(winner.config)}", *(f"  {line}" for line in accuracy.splitlines())]
    lines.append(f"  after epoch {epochs[0]} of {epochs[1]}")
    others = [c for c in ties if c.trial != winner.trial]
    if others:
        value = f"{metric_name(metric)} {winner.standing[0]:.3f}"
        lines.append(
            f"  {len(ties)} configurations tie at {value} on {n_images} validation images; the lower validation loss "
            "decided. The others:"
        )
        lines += [f"    {listed(c.config)}" for c in others[:_SHOWN]]
        lines += [f"    and {len(others) - _SHOWN} more"] * (len(others) > _SHOWN)
    return "\n".join(lines)


def accuracy_text(expected: ChosenAccuracy | None, metric: str, validation: Judgement, test: Judgement | None) -> str:
    """What is known of the winner's accuracy, a line for each kind of images."""
    seen = f"on the {validation.scores.n} validation images that chose it: {_scores(validation.scores)}"
    if expected is None:
        lines = [f"{seen}; too high, as it was chosen on them"]
    else:
        interval = f"[{expected.low:.3f}, {expected.high:.3f}]"
        lines = [f"{metric_name(metric)} {expected.corrected:.3f} {interval} to be expected on new images", seen]
    if test is not None:
        scores, interval = _scores(test.scores), "[{:.3f}, {:.3f}]".format(*test.scores.interval)
        lines.append(f"on the {test.scores.n} test images, which chose nothing: {scores}; accuracy in {interval}")
    return "\n".join(lines)


def shown(path: Path) -> str:
    """A path as short as it can be typed."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _scores(scores: Scores) -> str:
    return (
        f"accuracy {scores.accuracy:.3f}, balanced accuracy {scores.balanced_accuracy:.3f}, "
        f"macro-F1 {scores.macro_f1:.3f}"
    )
