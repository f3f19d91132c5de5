"""A user's own space for fine-tuning: refuses what cannot be trained, and makes explicit what it leaves out."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import Constant

from hyperstar_tune.finetune.from_scratch import shape_knobs
from hyperstar_tune.finetune.knobs import KNOBS, check_config
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tuning.options import TuneOptions

if TYPE_CHECKING:
    from hyperstar_tune.predictor import Predictor

__all__ = ["searched_space", "trainable_space", "usual_values"]

_N_CHECKED = 100  # drawn configurations that are checked before a run begins


def searched_space(options: TuneOptions, predictor: "Predictor") -> SearchSpace:
    """What a run searches: the space that it was asked to, or else that of its predictor.

    Raises:
        SpaceError: If a configuration of the space cannot be trained.
    """
    if options.space is None:
        return predictor.space
    return trainable_space(SearchSpace.from_json(options.space), predictor, options.settings(1))


def usual_values(settings: FineTuneSettings | None = None) -> dict[str, Any]:
    """What fine-tuning does where a configuration does not have a knob, by name; without what depends on other knobs.

    Args:
        settings: Those of a run; None: the defaults.
    """
    about = settings or FineTuneSettings
    usual = {name: knob.default for name, knob in KNOBS.items() if knob.default is not None}
    return usual | {"batch_size": about.batch_size, "image_size": about.image_size}


def trainable_space(space: SearchSpace, predictor: "Predictor", settings: FineTuneSettings) -> SearchSpace:
    """A space with the usual values of those parameters that a predictor goes by and that the space does not have.

    Args:
        space: The space.
        predictor: The predictor that is to rank it.
        settings: Those of the run.

    Raises:
        SpaceError: If a configuration cannot be trained: it has an unknown parameter or a value that makes no sense.
    """
    for config in space.listed or space.draw(_N_CHECKED, seed=0):
        check_config(config, shape_knobs(settings.model))
    usual = usual_values(settings)
    always = predictor.space.configuration_space.unconditional_hyperparameters
    left_out = [name for name in always if name not in space.parameters and name in usual]
    if not left_out:
        return space
    wider = deepcopy(space.configuration_space)
    wider.add(*(Constant(name, usual[name]) for name in left_out))
    more = {name: usual[name] for name in left_out}
    return SearchSpace(wider, space.name, space.listed and [{**config, **more} for config in space.listed])
