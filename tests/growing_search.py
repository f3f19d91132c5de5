"""A search with growing image sizes over a made-up score."""

from ray import tune
from ray.tune.search import Searcher

from hyperstar_tune import IncreasingImageSizes, RandomSearcher

SPACE = {"x": tune.uniform(0.0, 1.0), "kind": tune.choice(["a", "b"])}
METRIC = {"metric": "acc", "mode": "max"}


def score(config, epoch=1):
    """Best at x = 0.7; larger images show more."""
    return 1 - (config["x"] - 0.7) ** 2 + config["image_size"] / 1000 + epoch / 10_000


def searcher(inner=None, **options):
    options = {"space": SPACE, "sizes": (16, 32, 64), "trials": (12, 8, 4), **METRIC, **options}
    return IncreasingImageSizes(inner or RandomSearcher(), **options)


def finish(search, trial_id, config, value=None, **options):
    result = {"training_iteration": 1, "acc": score(config) if value is None else value}
    search.on_trial_result(trial_id, result)
    search.on_trial_complete(trial_id, result=result, **options)


def drawn(search, n=1000):
    """Suggestions, each trained before the next is asked for."""
    configs = []
    while len(configs) < n and (config := search.suggest(f"t{len(configs)}")) != Searcher.FINISHED:
        finish(search, f"t{len(configs)}", config)
        configs.append(config)
    return configs


def sizes(configs):
    return [config["image_size"] for config in configs]
