"""How a command is told a search space: by name, by a JSON file, or by a Python module that has a Ray Tune dict."""

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperstar_tune.errors import SpaceError, first_line

if TYPE_CHECKING:
    from hyperstar_tune.space import SearchSpace

__all__ = ["SPACE_HELP", "find_space"]

SPACE_HELP = (
    "A search space by name; a JSON file (ConfigSpace's, or {parameter: values}); or FILE.py:NAME or MODULE:NAME, a "
    "dict of Ray Tune, a ConfigurationSpace or a SearchSpace in Python."
)


def find_space(text: str, n_configs: int | None = None) -> "SearchSpace":
    """The space that a text names.

    Args:
        text: As ``SPACE_HELP`` says. A value that a dict fixes is a parameter with this value alone.
        n_configs: Make it finite by listing this many of its configurations, drawn with seed 0.

    Raises:
        SpaceError: If there is no such space, or it has fewer configurations.
    """
    from hyperstar_tune.space import SearchSpace

    if text.endswith(".py"):
        raise SpaceError(f"a search space in Python is FILE.py:NAME, but got {text!r}; add the name of the dict")
    place, colon, name = text.rpartition(":")
    space = _from_python(place, name) if colon and not Path(text).is_file() else SearchSpace.of(text)
    if n_configs is None:
        return space
    if n_configs < 1:
        raise SpaceError(f"a number of configurations must be at least 1, but is {n_configs}")
    if space.is_finite and n_configs == len(space):
        return space
    return SearchSpace(space.configuration_space, space.name, space.sample(n_configs, seed=0))


def _from_python(place: str, name: str) -> "SearchSpace":
    from ConfigSpace import ConfigurationSpace
    from ray import tune

    from hyperstar_tune.search.ray_space import as_space
    from hyperstar_tune.space import SearchSpace

    try:
        if place.endswith(".py"):
            about = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert about is not None  # noqa: S101  for mypy: a name that ends in .py has a loader
            assert about.loader is not None  # noqa: S101
            module = importlib.util.module_from_spec(about)
            about.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        found = getattr(module, name)
    except Exception as error:  # whatever the user's code raises
        raise SpaceError(
            f"a search space in Python is FILE.py:NAME or MODULE:NAME, but '{place}:{name}' cannot be had: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    if isinstance(found, SearchSpace):
        return found
    if isinstance(found, ConfigurationSpace):
        return SearchSpace(found, found.name or name)
    if not isinstance(found, dict):
        raise SpaceError(
            f"a search space in Python must be a dict of Ray Tune, a ConfigurationSpace or a SearchSpace, but "
            f"'{place}:{name}' is a {type(found).__name__}"
        )
    space, _ = as_space(_fixed_as_choices(found, tune.choice))
    return SearchSpace(space.configuration_space, name)


def _fixed_as_choices(config: dict[str, Any], choice: Any) -> dict[str, Any]:
    """A dict of Ray in which a fixed value is a choice of this value alone."""
    from ray.tune.search.sample import Domain

    return {
        key: _fixed_as_choices(value, choice)
        if isinstance(value, dict) and "grid_search" not in value
        else value
        if isinstance(value, Domain | dict)
        else choice([value])
        for key, value in config.items()
    }
