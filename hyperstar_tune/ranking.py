"""A ranked list of configurations: what a predictor hands to a searcher."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.space import config_key

__all__ = ["Ranking"]


@dataclass(frozen=True)
class Ranking:
    """Configurations, best predicted first. Holds plain Python values only, so that it can be stored anywhere."""

    configs: tuple[dict[str, Any], ...]
    scores: tuple[float, ...]  # predicted, normalized per task (Sec. 3.1), from high to low unless made diverse
    spread: tuple[float, ...]  # deviation of each score over image batches, or error on new families; 0: not known
    task: str = ""  # name of the task that the ranking was made for
    source: str = ""  # name of the predictor or ranker
    seen: bool = False  # whether the task's images were used in meta-training
    nearest: tuple[str, ...] = ()  # the known tasks that are most similar, nearest first; empty if not known
    share: float = 1.0  # how much of what the images say counts; 0: an average ranking
    doubt: str = ""  # why these images say little, if not for want of a known task that is near

    @classmethod
    def of(
        cls,
        configs: Sequence[dict[str, Any]],
        scores: Sequence[float] | np.ndarray,
        spread: Sequence[float] | np.ndarray | None = None,
        **about: Any,
    ) -> "Ranking":
        """Sorts configurations by predicted score, higher first; equal scores keep their order.

        ``about`` gives the ``task``, ``source``, ``seen``, ``nearest``, ``share`` and ``doubt`` of the ranking.

        Raises:
            SpaceError: If the lengths differ, nothing is to be ranked, or a score is not finite.
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
        return cls(copies, tuple(values[order].tolist()), tuple(deviations[order].tolist()), **about)

    def __len__(self) -> int:
        """Number of configurations."""
        return len(self.configs)

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
        )

    def reduced(self, names: Iterable[str]) -> "Ranking":
        """The same places, of which each configuration keeps only the parameters in ``names``."""
        kept = tuple(names)
        return replace(self, configs=tuple({n: config[n] for n in kept if n in config} for config in self.configs))

    def remarks(self) -> list[str]:
        """What a reader should know before trusting it, one remark per line."""
        lines = []
        if self.seen:
            lines.append(f"{self.source} has seen these images in meta-training: its ranking is no prediction.")
        if self.share == 0:
            why = self.doubt or "no known task is near these images"
            lines.append(f"Warning: {why}; this is the ranking that holds on average.")
        elif self.share < 1:
            why = self.doubt or "no known task is very near these images"
            lines.append(f"{why[0].upper()}{why[1:]}: {self.share:.0%} of what they say is trusted.")
        if self.nearest:
            lines.append(f"Nearest known tasks: {', '.join(self.nearest)}")
        return lines

    def table(self, n: int = 10) -> str:
        """The first ``n`` places as text: place, predicted score and its spread, configuration."""
        lines = ["place  score (spread)  configuration"]
        rows = zip(self.configs[:n], self.scores, self.spread, strict=False)
        for place, (config, score, spread) in enumerate(rows, 1):
            values = ", ".join(f"{name}={value}" for name, value in config.items())
            lines.append(f"{place:5d}  {score:+5.2f} ({spread:4.2f})  {values}")
        return "\n".join(lines)
