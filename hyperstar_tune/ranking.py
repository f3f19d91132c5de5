"""A ranked list of configurations: what a predictor hands to a searcher."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperstar_tune.complement import complement_of
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import config_key

__all__ = ["WORTH_OF_TIME", "Ranking"]

_N_REASONS = 3  # known tasks that are named where the complement is better than the first
WORTH_OF_TIME = 0.1  # of a score, for each factor e of the seconds per epoch; chosen on families left out
_LEAST_GAIN = 0.1  # points; a smaller difference is no reason


@dataclass(frozen=True)
class Ranking:
    """Configurations, best predicted first. Holds plain Python values only, so that it can be stored anywhere."""

    configs: tuple[dict[str, Any], ...]
    scores: tuple[
        float, ...
    ]  # predicted, normalized per task (Sec. 3.1), from high to low unless made diverse or by cost
    spread: tuple[float, ...]  # deviation of each score over image batches, or error on new families; 0: not known
    task: str = ""  # name of the task that the ranking was made for
    source: str = ""  # name of the predictor or ranker
    seen: bool = False  # whether the task's images were used in meta-training
    nearest: tuple[str, ...] = ()  # the known tasks that are most similar, nearest first; empty if not known
    share: float = 1.0  # how much of what the images say counts; 0: an average ranking
    doubt: str = ""  # why these images say little, if not for want of a known task that is near
    known_tasks: tuple[str, ...] = ()  # T tasks on which all configurations were measured or estimated
    falls: tuple[tuple[float, ...], ...] = ()  # of each configuration T values: a share below the best of the task
    costs: tuple[float, ...] = ()  # predicted seconds per epoch, on the machine of the known tasks; empty: not known
    notes: tuple[str, ...] = ()  # what of the searched space does not count in it, one line each
    elsewhere: float = 0.0  # further deviation of each score, where a run is unlike those of the known tasks

    @classmethod
    def of(
        cls,
        configs: Sequence[dict[str, Any]],
        scores: Sequence[float] | np.ndarray,
        spread: Sequence[float] | np.ndarray | None = None,
        falls: npt.NDArray[np.floating] | None = None,
        costs: Sequence[float] | np.ndarray | None = None,
        **about: Any,
    ) -> "Ranking":
        """Sorts configurations by predicted score, higher first; equal scores keep their order.

        Args:
            configs: H configurations.
            scores: Predicted score of each one, higher is better.
            spread: How far each score may be off; None: not known.
            falls: What ``shortfalls`` gives for T known tasks, shape [T, H]; None: nothing is known of other tasks, so
                that the ranking has no complement.
            costs: Predicted seconds per epoch of each one, shape [H]; None: not known.
            about: ``task``, ``source``, ``seen``, ``nearest``, ``share``, ``doubt``, ``known_tasks`` (T names) and
                ``elsewhere``.

        Raises:
            SpaceError: If the lengths differ, nothing is to be ranked, a score or shortfall is not finite, or a cost is
                not positive.
        """
        values = np.asarray(scores, dtype=np.float64)
        deviations = np.zeros_like(values) if spread is None else np.asarray(spread, dtype=np.float64)
        if not len(configs) or not len(configs) == len(values) == len(deviations):
            raise SpaceError(
                "a ranking needs one score and one spread per configuration, but got "
                f"{len(configs)} configurations, {len(values)} scores, {len(deviations)} spreads"
            )
        if not np.isfinite(values).all():
            odd = configs[int(np.argmin(np.isfinite(values)))]
            raise SpaceError(f"predicted scores must be finite, but that of {odd} is not")
        order = np.argsort(-values, kind="stable")
        copies = tuple(dict(configs[place]) for place in order)
        if falls is not None:
            if falls.shape[1:] != values.shape or not np.isfinite(falls).all():
                raise SpaceError(f"falls must be finite and of shape [T, {len(values)}], but got {[*falls.shape]}")
            about["falls"] = tuple(tuple(round(fall, 5) for fall in falls[:, place].tolist()) for place in order)
        if costs is not None:
            seconds = np.asarray(costs, dtype=np.float64)
            if seconds.shape != values.shape or not (np.isfinite(seconds) & (seconds > 0)).all():
                raise SpaceError(f"costs must be {len(values)} positive numbers of seconds, but got {costs!r:.80}")
            about["costs"] = tuple(float(f"{cost:.6g}") for cost in seconds[order].tolist())
        return cls(copies, tuple(values[order].tolist()), tuple(deviations[order].tolist()), **about)

    def __len__(self) -> int:
        """Number of configurations."""
        return len(self.configs)

    @property
    def complement(self) -> int | None:
        """Place, from 0, of the configuration that makes the best pair with the first on known tasks; None: unknown."""
        return complement_of(0, np.array(self.falls).T) if self.falls else None

    def order(self) -> list[int]:
        """The places in the order in which a race takes them: the first, its complement, then the others."""
        start = [0] if self.complement is None else [0, self.complement]
        return start + [place for place in range(len(self)) if place not in start]

    def by_cost(self) -> "Ranking":
        """The same configurations in the order for a budget in seconds: what takes long must score higher.

        A configuration that takes e times as long as another one must score 0.1 higher to come before it. Without known
        costs the order stays.
        """
        if not self.costs:
            return self
        worth = np.array(self.scores) - WORTH_OF_TIME * np.log(self.costs)
        return self.at(np.argsort(-worth, kind="stable").tolist())

    def top(self, n: int) -> list[dict[str, Any]]:
        """Copies of the first ``n`` configurations, e.g. as ``points_to_evaluate`` of another searcher."""
        return [dict(config) for config in self.configs[:n]]

    def part(self, configs: Iterable[dict[str, Any]]) -> "Ranking":
        """The places that hold one of ``configs``, in the ranking's order."""
        wanted = {config_key(config) for config in configs}
        return self.at([place for place, config in enumerate(self.configs) if config_key(config) in wanted])

    def at(self, places: Iterable[int]) -> "Ranking":
        """The configurations at some places, in the order in which these are given."""
        order = tuple(places)
        return replace(
            self,
            configs=tuple(self.configs[place] for place in order),
            scores=tuple(self.scores[place] for place in order),
            spread=tuple(self.spread[place] for place in order),
            falls=tuple(self.falls[place] for place in order) if self.falls else (),
            costs=tuple(self.costs[place] for place in order) if self.costs else (),
        )

    def reduced(self, names: Iterable[str]) -> "Ranking":
        """The same places, of which each configuration keeps only the parameters in ``names``."""
        kept = tuple(names)
        return replace(self, configs=tuple({n: config[n] for n in kept if n in config} for config in self.configs))

    def doubts(self) -> list[str]:
        """Why the images have less of a say than usual, in one line; nothing if they have their full say."""
        if self.share == 0:
            why = self.doubt or "no known task is near these images"
            return [f"Warning: {why}; this is the ranking that holds on average."]
        if self.share < 1:
            why = self.doubt or "no known task is very near these images"
            return [f"{why[0].upper()}{why[1:]}: {self.share:.0%} of what they say is trusted."]
        return []

    def remarks(self) -> list[str]:
        """What a reader should know before trusting it, one remark per line."""
        lines = []
        if self.seen:
            lines.append(f"{self.source} has seen these images in meta-training: its ranking is no prediction.")
        lines += self.doubts()
        if self.elsewhere:
            lines.append(
                f"Nothing was measured of this network: a deviation of {self.elsewhere:g} is added to every spread."
            )
        lines += self.notes
        if self.nearest:
            lines.append(
                f"Nearest known tasks, by how well features tell their classes apart, not by what the images show: "
                f"{', '.join(self.nearest)}"
            )
        return lines

    def deviations(self) -> tuple[float, ...]:
        """How far each score may be off: its spread, and what comes with circumstances that were not measured."""
        return tuple(math.hypot(spread, self.elsewhere) for spread in self.spread)

    def alike(self) -> list[bool]:
        """Of each place but the first, whether its score differs from the first's by less than the larger deviation."""
        first, *others = self.deviations()
        pairs = zip(self.scores[1:], others, strict=True)
        return [False, *(abs(self.scores[0] - score) < max(first, deviation) for score, deviation in pairs)]

    def race_remark(self) -> str:
        """Which configuration a race sets against the first, and why; an empty text if none is known."""
        place = self.complement
        if place is None:
            return ""
        gains = (np.array(self.falls[place]) - np.array(self.falls[0])) * 100  # [T], points
        names = self.known_tasks or tuple(f"known task {number}" for number in range(1, len(gains) + 1))
        best = [task for task in np.argsort(-gains, kind="stable")[:_N_REASONS] if gains[task] >= _LEAST_GAIN]
        where = ", ".join(f"{names[task]} ({gains[task]:+.1f} points)" for task in best) or "nowhere by much"
        values = ", ".join(f"{name}={value}" for name, value in self.configs[place].items())
        return f"A race sets place 1 against place {place + 1} ({values}). It is best where the first fails: {where}."

    def table(self, n: int = 10) -> str:
        """The first ``n`` places as text: place, predicted score and its spread, configuration, and what they mean."""
        lines = ["place  score (spread)  configuration"]
        alike = self.alike()
        rows = zip(self.configs[:n], self.scores, self.deviations(), alike, strict=False)
        for place, (config, score, spread, is_alike) in enumerate(rows, 1):
            values = ", ".join(f"{name}={value}" for name, value in config.items())
            lines.append(f"{'~' * is_alike + str(place):>5}  {score:+5.2f} ({spread:4.2f})  {values}")
        lines.append("score: deviations above the mean configuration of a task; spread: its error on other tasks")
        if any(alike[:n]):
            lines.append("~: the score differs from that of place 1 by less than the larger of their spreads")
        return "\n".join(lines)
