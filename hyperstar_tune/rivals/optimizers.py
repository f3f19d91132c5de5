"""Optimizers by name, as searchers without a space: for ``IncreasingImageSizes``, or with the space in a run's config.

The first four are those of Hinz et al. (2018). ``genetic`` is optuna's NSGA-II, which with one objective is a genetic
algorithm with elitism, and serves numbers and choices alike.
"""

from ray.tune.search import Searcher

from hyperstar_tune.errors import SearchError, first_line
from hyperstar_tune.rivals.bohb import BohbSearcher
from hyperstar_tune.rivals.smac import SmacSearcher
from hyperstar_tune.search import RandomSearcher

__all__ = ["OPTIMIZERS", "optimizer"]

OPTIMIZERS = ("random", "tpe", "smac", "genetic", "bohb")


def optimizer(name: str, seed: int = 0, *, population: int = 10) -> Searcher:
    """An optimizer by name.

    Args:
        name: One of ``OPTIMIZERS``.
        seed: Random seed.
        population: Configurations of a generation of ``genetic``.

    Raises:
        SearchError: If there is none of this name, or the library that it needs is not installed.
    """
    if name == "random":
        return RandomSearcher(seed=seed)
    if name == "smac":
        return SmacSearcher(seed=seed)
    if name == "bohb":
        return BohbSearcher(seed=seed)
    if name not in OPTIMIZERS:
        raise SearchError(f"an optimizer is one of {', '.join(OPTIMIZERS)}, but got {name!r}")
    try:
        import optuna
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        raise SearchError(
            f"{name} needs optuna, which is not installed: {first_line(error)}; install optuna"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if name == "tpe":
        return OptunaSearch(sampler=optuna.samplers.TPESampler(seed=seed))
    return OptunaSearch(sampler=optuna.samplers.NSGAIISampler(population_size=population, seed=seed))
