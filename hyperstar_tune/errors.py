"""The errors that a user of the library may want to catch.

Every message is one line. It states the rule, the offending value and what to do about it.
"""

__all__ = [
    "ClusterError",
    "HyperStarError",
    "MetaDatasetError",
    "ModelError",
    "PlanError",
    "PredictorError",
    "SearchError",
    "SpaceError",
    "TaskError",
    "first_line",
]


class HyperStarError(ValueError):
    """Base of all errors this library raises on purpose."""


class ClusterError(HyperStarError):
    """A Ray cluster that cannot be joined, or that cannot give trials what they ask for."""


class SpaceError(HyperStarError):
    """A search space or a configuration that does not fit it."""


class PlanError(HyperStarError):
    """A Hyperband plan or an epoch budget that cannot be run."""


class TaskError(HyperStarError):
    """Images or labels that do not make an image-classification task."""


class MetaDatasetError(HyperStarError):
    """A table of learning curves that is damaged or does not fit another."""


class PredictorError(HyperStarError):
    """A predictor file that is damaged, foreign or unfit for the run at hand."""


class ModelError(HyperStarError):
    """A network, or weights for it, that cannot be built or fine-tuned."""


class SearchError(HyperStarError):
    """A searcher or scheduler used in a way that cannot work."""


_UNSAID = {  # what errors of other libraries mean that say nothing, by their type
    "CyclicDependancyError": "its conditions go in a circle: a parameter depends on one that depends on it in turn",
}


def first_line(error: BaseException) -> str:
    """The first line of another library's error, for a message of one line; if it says nothing what its type means."""
    kind = type(error).__name__
    return str(error).splitlines()[0] if str(error) else _UNSAID.get(kind, kind)
