"""What a table of learning curves holds: coverage, best configurations, and how much its tasks disagree about them.

These numbers say whether a table is worth meta-training on. To judge a ranking, use ``comparison.judging``.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.metrics import normalize_scores, ranking_of
from hyperstar_tune.space import Config
from hyperstar_tune.tables.disagreement import (
    NoiseCeiling,
    VarianceSplit,
    last_values,
    mean_correlations,
    noise_ceiling,
    rank_correlation,
    size_of,
    variance_split,
)
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Description", "describe"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Best:
    """The best configuration of one task; of equal ones the first."""

    task: str
    config: Config
    accuracy: float  # on half A after the last epoch
    is_average_best: bool  # the configuration best on average reaches the same accuracy


@dataclass(frozen=True)
class Description:
    """All figures of ``describe``; None where the table cannot tell."""

    tasks: int
    parents: int
    sub_tasks: int
    families: int
    configurations: int
    seeds: int
    epochs: int  # R
    coverage: float  # share of (task, configuration) that some seed measured
    tasks_compared: int  # tasks that the following figures are about ...
    configurations_compared: int  # ... and configurations, all of which were measured on them
    mean_rank_correlation: float | None
    rank_correlations: dict[str, float]
    variance: VarianceSplit | None
    variance_upper_half: VarianceSplit | None  # of the configurations that are better than the median on average
    noise_ceiling: NoiseCeiling | None
    average_best: Config
    tasks_with_other_best: float | None  # share
    own_best_gain: float | None  # half-B accuracy of the task's own best less the average best's, mean over tasks
    best: tuple[Best, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded; the keys that tables are compared by stand at the top."""
        found = self.noise_ceiling
        more = {
            "noise_ceiling_ap10": found.average_precision if found and not found.same_seed else None,
            "same_seed_ap10": found.average_precision if found and found.same_seed else None,
            "interaction_variance_share": self.variance.interaction if self.variance else None,
        }
        return _rounded(asdict(self) | more)

    def __str__(self) -> str:
        lines = [
            f"{self.tasks} tasks ({self.parents} parents, {self.sub_tasks} sub-tasks) of {self.families} families x "
            f"{self.configurations} configurations x {self.seeds} seeds, {self.epochs} epochs, "
            f"{self.coverage:.1%} of (task, configuration) measured"
        ]
        compared = f"{self.tasks_compared} tasks x {self.configurations_compared} configurations"
        if compared != f"{self.tasks} tasks x {self.configurations} configurations":
            lines.append(f"compared: {compared}, all measured")
        if self.rank_correlations:
            pairs = ", ".join(f"{name} {value:.2f}" for name, value in self.rank_correlations.items())
            lines.append(f"rank correlation of two tasks: {pairs}")
        if self.variance and self.variance_upper_half:
            lines.append(f"variance of normalized scores: {self.variance}")
            lines.append(f"of the better half of the configurations alone: {self.variance_upper_half}")
        if self.noise_ceiling:
            lines.append(str(self.noise_ceiling))
        lines.append(f"best on average: {_config_text(self.average_best)}")
        if self.tasks_with_other_best is not None:
            lines.append(f"another best on {self.tasks_with_other_best:.0%} of the tasks")
            if self.own_best_gain is not None:
                lines[-1] += f"; their own best is {100 * self.own_best_gain:+.2f} points better on half B"
        width = max(len(best.task) for best in self.best)
        for best in self.best:
            mark = "=" if best.is_average_best else " "
            lines.append(f"{mark} {best.task:{width}}  {best.accuracy:.3f}  {_config_text(best.config)}")
        return "\n".join(lines)


def describe(table: MetaDataset) -> Description:
    """Describes a table.

    Tasks are compared over what was measured on all of them: the tasks that have every configuration, or, where those
    are fewer than two, all tasks over the configurations that all have.

    Raises:
        MetaDatasetError: If no configuration was measured on all tasks.
    """
    # A task must have one seed throughout, or its noise could not be told from its configurations.
    rows, columns = np.flatnonzero(np.any(table.measured.all(axis=1), axis=1)), np.arange(len(table.configs))
    if len(rows) < 2:
        rows, columns = np.arange(len(table.tasks)), np.flatnonzero(table.measured[:, :, 0].all(axis=0))
    if not len(columns):
        raise MetaDatasetError(
            f"a description needs a configuration measured on all tasks, but the {len(rows)} tasks share none; "
            "leave tasks out or collect on"
        )
    half_a, half_b = (last_values(table, name)[np.ix_(rows, columns)] for name in ("val_accuracy", "val_accuracy_b"))
    scores = table.scores()[np.ix_(rows, columns)]
    names, families = (table.tasks[column].iloc[rows].tolist() for column in ("name", "family"))
    configs = [table.configs[c] for c in columns]
    correlations = mean_correlations(rank_correlation(scores), families, [size_of(name) for name in names])
    average_ranking = ranking_of(np.asarray(normalize_scores(scores)).mean(axis=0))
    average_best, upper = int(average_ranking[0]), average_ranking[: -(-len(columns) // 2)]
    several = len(rows) > 1
    splits = several and len(upper) > 1
    n_parents = sum(size_of(name) == "parent" for name in table.tasks["name"])
    return Description(
        tasks=len(table.tasks),
        parents=n_parents,
        sub_tasks=len(table.tasks) - n_parents,
        families=len(table.families),
        configurations=len(table.configs),
        seeds=table.evaluations.shape[2],
        epochs=int(table.epochs[-1]),
        coverage=float(table.measured.any(axis=2).mean()),
        tasks_compared=len(rows),
        configurations_compared=len(columns),
        mean_rank_correlation=correlations.get("all"),
        rank_correlations=correlations,
        variance=variance_split(half_a, half_b) if splits else None,
        variance_upper_half=variance_split(half_a[:, upper], half_b[:, upper]) if splits else None,
        noise_ceiling=noise_ceiling(half_a, half_b, families, min(10, len(columns))),
        average_best=configs[average_best],
        tasks_with_other_best=float(np.mean(scores[:, average_best] < scores.max(axis=1))) if several else None,
        own_best_gain=_own_best_gain(scores, half_b, average_best) if several else None,
        best=tuple(
            Best(name, configs[int(row.argmax())], float(row.max()), bool(row[average_best] >= row.max()))
            for name, row in zip(names, scores, strict=True)
        ),
    )


def _own_best_gain(scores: Floats, half_b: Floats, average_best: int) -> float | None:
    complete = np.all(np.isfinite(half_b), axis=1)  # [T, S]
    if not complete.any(axis=1).all():
        return None
    reported = np.where(complete[:, None], half_b, 0.0).sum(axis=2) / complete.sum(axis=1, keepdims=True)  # [T, H]
    return float(np.mean(reported[np.arange(len(reported)), scores.argmax(axis=1)] - reported[:, average_best]))


def _config_text(config: Config) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in config.items()
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 5) if isinstance(value, float) else value
