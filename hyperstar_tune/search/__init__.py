"""The searchers and the scheduler: Hyperband on Ray Tune, with or without a look at the images."""

from ray.tune import search as _ray_search

from hyperstar_tune.search.any_searcher import Gated
from hyperstar_tune.search.brackets import Gate, RungRecord
from hyperstar_tune.search.hyperstar import HyperStarSearcher
from hyperstar_tune.search.image_sizes import IncreasingImageSizes
from hyperstar_tune.search.ledger import TrialState
from hyperstar_tune.search.narrowing import Narrowing
from hyperstar_tune.search.ray_space import RaySpace, from_ray, to_ray
from hyperstar_tune.search.restore import KeepRestorable, make_restorable
from hyperstar_tune.search.scheduler import PlanScheduler
from hyperstar_tune.search.searcher import GatedSearcher
from hyperstar_tune.search.space_searcher import RandomSearcher

__all__ = [
    "Gate",
    "Gated",
    "GatedSearcher",
    "HyperStarSearcher",
    "IncreasingImageSizes",
    "KeepRestorable",
    "Narrowing",
    "PlanScheduler",
    "RandomSearcher",
    "RaySpace",
    "RungRecord",
    "TrialState",
    "from_ray",
    "make_restorable",
    "to_ray",
]

# Ray Tune's create_searcher("hyperstar", task=...) finds our searcher.
_ray_search.SEARCH_ALG_IMPORT["hyperstar"] = lambda: HyperStarSearcher
