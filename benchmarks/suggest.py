"""Seconds of one suggestion and one result: HyperStarSearcher beside Ray's OptunaSearch and TuneBOHB, in one process.

All search the same space of 1,029 configurations, and each suggestion is answered by one result. Our searcher is timed
twice: without a Hyperband, as the others are, and behind the gate of one. TuneBOHB gets a budget with each result,
because it needs one.

    python benchmarks/suggest.py [--suggestions 200] [--out benchmarks/results/suggest.json]
"""

import argparse
import logging
import random
import statistics
import time
import warnings
from pathlib import Path

from _common import RESULTS, environment, write_json
from ray.tune.search.bohb import TuneBOHB
from ray.tune.search.optuna import OptunaSearch

from hyperstar_tune import HyperBandPlan, HyperStarSearcher, Ranking, SearchSpace
from hyperstar_tune.search import Gate, to_ray

SPACE = SearchSpace.from_values({**{name: list(range(7)) for name in "abc"}, "kind": ["x", "y", "z"]})


def suggest_and_observe(searcher, n, observe):
    """Milliseconds of each of ``n`` rounds of one suggestion and one result."""
    numbers = random.Random(0)
    took = []
    for number in range(n):
        trial_id = f"trial{number}"
        score = numbers.random()
        start = time.perf_counter()
        config = searcher.suggest(trial_id)
        assert isinstance(config, dict), f"{type(searcher).__name__} gave {config!r} after {number} suggestions"
        observe(searcher, trial_id, score)
        took.append((time.perf_counter() - start) * 1000)
    return took


def observe_result(searcher, trial_id, score):
    result = {"training_iteration": 1, "score": score}
    searcher.on_trial_result(trial_id, result)
    searcher.on_trial_complete(trial_id, result=result)


def observe_bohb(searcher, trial_id, score):
    """TuneBOHB learns only from results that carry a budget, and not from completions."""
    result = {"training_iteration": 1, "score": score, "hyperband_info": {"budget": 1}}
    searcher.on_trial_result(trial_id, result)
    searcher.on_trial_complete(trial_id, result=result)


def observe_gate(searcher, trial_id, score):
    searcher.gate.result(trial_id, 1, score)
    searcher.on_trial_result(trial_id, {"training_iteration": 1, "score": score})


def hyperstar():
    configs = SPACE.grid()
    scores = [random.Random(str(config)).random() for config in configs]
    return HyperStarSearcher(ranking=Ranking.of(configs, scores), metric="score", mode="max")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suggestions", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS / "suggest.json")
    options = parser.parse_args()
    n = options.suggestions
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    space = to_ray(SPACE)
    optuna = OptunaSearch(OptunaSearch.convert_search_space(space), metric="score", mode="max", seed=0)
    bohb = TuneBOHB(TuneBOHB.convert_search_space(space), metric="score", mode="max", seed=0)
    gated = hyperstar()
    gated.join(Gate(HyperBandPlan(max_epochs=n, eta=n, epoch_budget=10**9)))

    took = {
        "hyperstar": suggest_and_observe(hyperstar(), n, observe_result),
        "hyperstar_gated": suggest_and_observe(gated, n, observe_gate),
        "optuna": suggest_and_observe(optuna, n, observe_result),
        "bohb": suggest_and_observe(bohb, n, observe_bohb),
    }
    figures = {f"{name}_ms": round(statistics.median(times), 4) for name, times in took.items()}
    spread = {
        f"{name}_ms": [round(q, 4) for q in statistics.quantiles(times, n=20)[::18]] for name, times in took.items()
    }
    slower = max(figures["hyperstar_ms"], figures["hyperstar_gated_ms"])
    report = {
        **figures,
        "factor_over_optuna": round(figures["optuna_ms"] / slower, 1),
        "factor_over_bohb": round(figures["bohb_ms"] / slower, 1),
        "spread_5_to_95_percent": spread,
        "suggestions": n,
        **environment(),
    }
    write_json(options.out, report)
    print("searcher          median ms of one suggestion and one result")
    for name in took:
        print(f"{name:17} {figures[f'{name}_ms']:.4f}")


if __name__ == "__main__":
    main()
