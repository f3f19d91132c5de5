"""Measures what it gains to learn while a run tunes, and what it costs where a prediction misleads.

    python benchmarks/learning.py [--parts ranges grid]

Writes ``results/learning.json``. *ranges*: a space of 17 parameters, searched through the surrogate of
``scoreboard/growing.py`` at 128 px; the predictor knows the other three tasks. *grid*: the recorded curves of the main
table; the predictor has seen neither the task's family nor a third of the configurations, and runs begin with a race. A
prediction misleads where traits are those of a task of another family (grid), where scores are dealt to the
configurations at random (ranges), and where they are turned around. Traits of images of noise or of shuffled labels
are not trusted, which leaves the average. Reported is half B of the configuration that half A chose. Intervals are 95 %
over families, or over tasks and repeats.
"""

import argparse
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from _common import RESULTS, ROOT, environment, write_json
from any_space import TABLES, World
from collect_image_sizes import PARTS
from filelock import FileLock
from scoreboard.growing import Surrogate, complete, interval, read_measured
from task_traits import TRAITS_FILE

from hyperstar_tune.complement import shortfalls
from hyperstar_tune.predictor.any_space import Measured, basis_of, fit_any_space, kernel_for
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.targets import READINGS, robust_scores
from hyperstar_tune.predictor.task_scores import TaskScores
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.search.diversity import made_diverse
from hyperstar_tune.search.learning import Learner
from hyperstar_tune.space import Config, SearchSpace, config_key

Floats = npt.NDArray[np.float64]
Curves = Callable[[Config], tuple[Floats, Floats]]  # of a configuration, both halves after each epoch

GRID_BUDGETS, RANGE_BUDGETS = (2.5, 4.5, 8, 16), (2, 4, 8, 16)  # in whole trainings
SIZE = 128  # pixels
DRAWN, LIKELY = 5000, 400
REPEATS, RANDOM_SEEDS = 5, 5
PENALTY = PlusSettings().penalty


@dataclass(frozen=True)
class Case:
    """A task, and what a predictor says of it."""

    family: str
    space: SearchSpace
    curves: Curves
    max_epochs: int
    rankings: Mapping[str, tuple[Ranking, TaskScores]]  # as predicted, and misleading ones


def fitted(
    known: Measured, space: SearchSpace, encoding: SharedEncoding, traits: Floats, turned: float = 1
) -> TaskScores:
    """What a model says that was learned from some tasks; ``turned``: -1 for the contrary."""
    kernel = kernel_for([known], PENALTY)
    weights = fit_any_space([known], PENALTY, kernel).scores(traits)
    return TaskScores(space, {}, turned * weights, kernel, known.encoded, encoding, None, 0)


def ranked(
    scores: TaskScores, configs: Sequence[Config], encoded: Floats, falls: Floats | None = None
) -> tuple[Ranking, TaskScores]:
    """A diverse ranking of the best of some configurations, which are encoded too."""
    values = basis_of(scores.kernel, encoded, scores.encoded) @ scores.weights
    best = np.argsort(-values, kind="stable")[:LIKELY]
    chosen = Ranking.of(
        [configs[place] for place in best], values[best], falls=None if falls is None else falls[:, best]
    )
    return made_diverse(chosen, scores.space), scores


def epochs_of(
    case: Case,
    budget: float,
    proposals: Iterator[Config],
    tell: Callable[..., None],
    race: Sequence[Config] = (),
    width: int = 1,
) -> list[float]:
    """Half B of the best by half A after every epoch of a run."""
    r, found, best, seen = case.max_epochs, [], -np.inf, 0.0

    def train(config: Config, start: int, stop: int) -> None:
        nonlocal best, seen
        half_a, half_b = case.curves(config)
        for epoch in range(start, stop):
            if half_a[epoch] > best:
                best, seen = half_a[epoch], half_b[epoch]
            found.append(seen)
        tell(config, stop, float(half_a[:stop].max()))

    if race:
        short = max(1, r // 4)
        for config in race:
            train(config, 0, short)
        winner = max(race, key=lambda config: case.curves(config)[0][:short].max())
        train(winner, short, r)
    while len(found) < budget * r:
        batch = [config for _, config in zip(range(width), proposals, strict=False)]
        if not batch:
            break
        for config in batch:
            train(config, 0, r)
    return found


def at(found: Sequence[float], budgets: Sequence[float], r: int) -> Floats:
    """Accuracies in percent at budgets."""
    return 100 * np.array([found[min(len(found), round(budget * r)) - 1] for budget in budgets])


def followed(case: Case, key: str, budgets: Sequence[float], how: str, seed: int = 0) -> Floats:
    """Accuracies of a run down a ranking, static or learning; ``how`` names the variant."""
    ranking, scores = case.rankings[key]
    learner = Learner(
        case.space, scores, ranking.configs, case.max_epochs // 4 if how == "unfinished" else case.max_epochs, seed=seed
    )
    order = [ranking.configs[place] for place in ranking.order()]
    race = order[:2] if case.max_epochs > 1 else []
    taken = {config_key(config) for config in race}
    for config in race:
        learner.take(config)

    def proposals() -> Iterator[Config]:
        rest = iter(order)
        while len(taken) < (len(case.space) if case.space.is_finite else np.inf):
            learns = how != "static" and learner.has_learned
            config = learner.next() if learns else next(config for config in rest if config_key(config) not in taken)
            taken.add(config_key(config))
            learner.take(config)
            yield config

    width = 4 if how == "four workers" else 1
    return at(epochs_of(case, max(budgets), proposals(), learner.tell, race, width), budgets, case.max_epochs)


def at_random(case: Case, budgets: Sequence[float], seed: int) -> Floats:
    """Accuracies of random search."""
    drawn = case.space.sample(min(len(case.space), 40) if case.space.is_finite else 40, seed)
    return at(epochs_of(case, max(budgets), iter(drawn), lambda *told: None), budgets, case.max_epochs)


def grid_cases(traits: pd.DataFrame) -> list[Case]:
    """The tasks of the main table; which half decides changes from task to task."""
    world = World(TABLES[0], traits)
    space = SearchSpace(world.table.space.configuration_space, world.table.space.name)
    places = {config_key(config): place for place, config in enumerate(world.table.configs)}
    halves = [np.nanmean(world.table.curve(name), axis=2) for name in ("val_accuracy", "val_accuracy_b")]
    falls, families, cases = shortfalls(world.truth), np.array(world.measured.families), []
    for family in world.families:
        known, others = world.without(family, 0), families != family
        rng = np.random.default_rng(0)
        for row in np.flatnonzero(~others):
            own, wrong = world.measured.traits[row], world.measured.traits[rng.choice(np.flatnonzero(others))]
            said = {
                "as predicted": fitted(known, space, world.encoding, own),
                "traits of another task": fitted(known, space, world.encoding, wrong),
                "the contrary": fitted(known, space, world.encoding, own, -1),
            }
            rankings = {
                key: ranked(scores, world.table.configs, world.measured.encoded, falls[others])
                for key, scores in said.items()
            }
            a, b = halves if row % 2 else halves[::-1]
            curves = partial(_recorded, places, a[row], b[row])
            cases.append(Case(family, space, curves, a.shape[-1], rankings))
    return cases


def _recorded(places: Mapping[str, int], half_a: Floats, half_b: Floats, config: Config) -> tuple[Floats, Floats]:
    place = places[config_key(config)]
    return half_a[place], half_b[place]


def range_cases(collection: Path) -> list[Case]:
    """The four tasks of growing image sizes at the largest size, each as often as it is repeated."""
    space, encoding = PARTS["from-scratch"].space, SharedEncoding([PARTS["from-scratch"].space], {})
    whole = complete(read_measured(collection), [SIZE])
    surrogate = Surrogate(space, whole, read_measured(collection, seed=1))
    encoded = encoding.encode(list(whole.configs.values()))
    both = [[(one.half_a + one.half_b) / 2 for one in of[SIZE].values()] for of in whole.tasks.values()]
    targets = robust_scores(np.array(both), list(READINGS.values()))
    draws = [space.draw(DRAWN, repeat) for repeat in range(REPEATS)]
    draws = [(drawn, encoding.encode(drawn)) for drawn in draws]
    cases = []
    for row, task in enumerate(whole.tasks):
        others = [name for name in whole.tasks if name != task]
        # Their images were never looked at by the predictor: the traits are all alike, and count for nothing.
        known = Measured(np.delete(targets, row, axis=0), np.zeros((3, 1)), tuple(others), encoded, encoding.widths)
        for repeat in range(REPEATS):
            rng = np.random.default_rng(repeat)
            dealt = replace(known, targets=known.targets[:, rng.permutation(len(encoded))])
            said = {
                "as predicted": fitted(known, space, encoding, np.zeros(1)),
                "scores dealt at random": fitted(dealt, space, encoding, np.zeros(1)),
                "the contrary": fitted(known, space, encoding, np.zeros(1), -1),
            }
            drawn = draws[repeat]
            rankings = {key: ranked(scores, *drawn) for key, scores in said.items()}
            cases.append(Case(task, space, partial(_through, surrogate, task, repeat), 1, rankings))
    return cases


def _through(surrogate: Surrogate, task: str, repeat: int, config: Config) -> tuple[Floats, Floats]:
    reached = surrogate.evaluate(task, config, SIZE)
    rng = np.random.default_rng([repeat, zlib.crc32(config_key(config).encode())])
    half_a = np.clip(reached.half_a + rng.normal(0, surrogate.noise[task][SIZE]), 0, 1)
    return np.array([half_a]), np.array([reached.half_b])


def of_cases(cases: Sequence[Case], values: Floats, budgets: Sequence[float]) -> dict[str, Any]:
    """Means with intervals by budget, of values [cases, budgets]."""
    found = {}
    for column, budget in enumerate(budgets):
        by_family: dict[str, list[float]] = {}
        for case, value in zip(cases, values[:, column].tolist(), strict=True):
            by_family.setdefault(case.family, []).append(value)
        found[f"{budget:g} R"] = interval(by_family)
    return found


def compared(cases: Sequence[Case], budgets: Sequence[float], variants: Sequence[str]) -> dict[str, Any]:
    """Accuracies of random search, and differences of the static ranking and of learning to it and to each other."""
    random = np.array(
        [np.mean([at_random(case, budgets, seed) for seed in range(RANDOM_SEEDS)], axis=0) for case in cases]
    )
    found: dict[str, Any] = {"random": of_cases(cases, random, budgets)}
    for key in cases[0].rankings:
        static, learning = (
            np.array([followed(case, key, budgets, how) for case in cases]) for how in ("static", "learning")
        )
        found[key] = {
            "static": of_cases(cases, static, budgets),
            "static above random": of_cases(cases, static - random, budgets),
            "learning above random": of_cases(cases, learning - random, budgets),
            "learning above static": of_cases(cases, learning - static, budgets),
        }
        for how in variants if key == "as predicted" else ():
            values = np.array([followed(case, key, budgets, how) for case in cases])
            found[key][f"{how} above static"] = of_cases(cases, values - static, budgets)
        print(
            key,
            {name: {b: round(v["mean"], 2) for b, v in one.items()} for name, one in found[key].items()},
            flush=True,
        )
    return found


def main() -> None:
    """Measures the parts and writes them into the JSON file, beside what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=["ranges", "grid"], default=["ranges", "grid"])
    parser.add_argument("--collection", type=Path, default=ROOT / "metadata" / "image-sizes.collection")
    parser.add_argument("--out", type=Path, default=RESULTS / "learning.json")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part == "ranges":
            found = compared(range_cases(arguments.collection), RANGE_BUDGETS, ["four workers"])
        else:
            found = compared(grid_cases(pd.read_parquet(TRAITS_FILE)), GRID_BUDGETS, ["unfinished"])
        with FileLock(f"{arguments.out}.lock"):
            data = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
            write_json(arguments.out, data | {part: found} | environment())


if __name__ == "__main__":
    main()
