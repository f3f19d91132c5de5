"""How the trials of a run are divided into stages of growing images, as plain arithmetic.

Source of the proportions: Hinz et al. (2018) search 750 configurations at 32 pixels, 500 at 64 and 250 at 128.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from hyperstar_tune.errors import SearchError
from hyperstar_tune.plan import Bracket, Plan

__all__ = ["brackets_per_stage", "check_sizes", "check_trials", "divided"]

_SMALLEST = 8  # pixels


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Image sizes that are whole numbers of pixels and grow; a ``SearchError`` if they are not."""
    given = tuple(sizes)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= _SMALLEST for size in given)
    if not given or not whole or any(a >= b for a, b in pairwise(given)):
        raise SearchError(
            f"sizes must be whole numbers of pixels from {_SMALLEST} that grow from stage to stage, but got {sizes!r}"
        )
    return given


def check_trials(trials: int | Sequence[int], n_stages: int) -> tuple[int, ...]:
    """Trials of every stage; a total is divided.

    Raises:
        SearchError: If a stage would have none.
    """
    counts = (trials,) if isinstance(trials, int) else tuple(trials)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in counts):
        raise SearchError(f"trials must be whole numbers from 1, but got {trials!r}")
    if isinstance(trials, int):
        return divided(trials, n_stages)
    if len(counts) != n_stages:
        raise SearchError(f"trials must be one number for each of {n_stages} sizes, or their sum, but got {trials!r}")
    return counts


def divided(total: int, n_stages: int) -> tuple[int, ...]:
    """Divides trials in the proportion n : n - 1 : ... : 1, at least one for each stage.

    Raises:
        SearchError: If there are more stages than trials.

    Example:
        >>> divided(1500, 3)
        (750, 500, 250)
    """
    if total < n_stages:
        raise SearchError(f"{n_stages} sizes need at least {n_stages} trials, but there are {total}; raise num_samples")
    whole = n_stages * (n_stages + 1) // 2
    ends = [total * sum(range(n_stages - stage, n_stages + 1)) // whole for stage in range(n_stages)]
    for stage in range(n_stages):  # at least one each, and one left for each that follows
        least = ends[stage - 1] + 1 if stage else 1
        ends[stage] = min(max(ends[stage], least), total - (n_stages - 1 - stage))
    return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))


def brackets_per_stage(plan: Plan, n_stages: int, trials: Sequence[int] | None) -> tuple[int, ...]:
    """Number of the first bracket after each stage.

    A stage takes whole brackets, at least one, until it has its trials. It leaves one for every stage that follows. The
    last stage goes on until the budget is spent. If the plan starts over, every stage begins with its first bracket.

    Args:
        plan: The plan of the run.
        n_stages: Number of stages.
        trials: Trials of every stage; None: those that the budget reaches, divided.

    Raises:
        SearchError: If the budget reaches fewer brackets than there are stages, or has no epochs to divide.
    """
    if not plan.epoch_budget and trials is None:
        raise SearchError(
            f"stages of image sizes need a plan with an epoch_budget, but got one of {plan.budget_text}; pass trials="
        )
    repeated = n_stages - 1 if plan.starts_over else 0  # how often the first bracket comes again
    reached: list[Bracket] = []
    while _reaches_more(plan, reached, trials):
        reached.append(plan.bracket(max(0, len(reached) - repeated)))
    if len(reached) < n_stages:
        raise SearchError(
            f"{n_stages} sizes need a budget that reaches as many brackets, but {plan.epoch_budget} epochs reach "
            f"{len(reached)}; raise epoch_budget"
        )
    wanted = list(accumulate(trials or divided(sum(bracket.n_configs for bracket in reached), n_stages)))
    ends: list[int] = []
    found = 0
    for stage in range(n_stages):
        start = end = ends[-1] if ends else 0
        most = len(reached) - (n_stages - 1 - stage)
        while end == start or (end < most and found < wanted[stage]):
            found += plan.bracket(end - start if plan.starts_over else end).n_configs
            end += 1
        ends.append(end)
    return tuple(ends)


def _reaches_more(plan: Plan, brackets: Sequence[Bracket], trials: Sequence[int] | None) -> bool:
    """Whether the budget in epochs reaches another bracket; without one, whether trials are missing."""
    if plan.epoch_budget:
        return sum(bracket.epochs for bracket in brackets) < plan.epoch_budget
    return sum(bracket.n_configs for bracket in brackets) < sum(trials or ())
