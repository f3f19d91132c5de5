"""What Ray Tune expects of a searcher, as tests.

Ray says little of this in one place. We read it off its controller, its search generator and its restore path.
"""

# ruff: noqa: D102, PT017, S101  these are tests: their names say what holds
from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle, tune
from ray.tune.search import ConcurrencyLimiter, Searcher

__all__ = ["SearcherContract"]


class SearcherContract(ABC):
    """Tests that every Ray searcher should pass.

    Subclass it under a name that pytest collects, and make a fresh searcher in ``make_searcher``. The attributes say
    what the searcher promises beyond Ray's minimum; a test of what is not promised is skipped.

    Example:
        >>> class TestMySearcher(SearcherContract):
        ...     def make_searcher(self, seed):
        ...         return MySearcher(space, metric="score", mode="max", seed=seed)
    """

    n_suggestions = 8  # suggestions that every test may ask for, at least 3
    n_configs: int | None = None  # suggestions before FINISHED; None: without end
    depends_on_seed = True  # other seeds give other suggestions
    plain_values = True  # no NumPy scalars, which do not survive JSON, YAML and a comparison with ``is``
    resumes_exactly = True  # a restored searcher suggests what the saved one would have
    knows_strangers = True  # tolerates results of a trial it did not suggest

    @abstractmethod
    def make_searcher(self, seed: int) -> Searcher:
        """A fresh searcher with a space, ``metric="score"`` and ``mode="max"``."""

    def make_empty_searcher(self) -> Searcher:
        """A fresh searcher that waits for the run's config; without one its two tests are skipped."""
        return pytest.skip("the searcher takes no config")

    # -- suggestions ---------------------------------------------------------------------------------------------------

    def test_a_suggestion_is_a_dict_of_plain_python_values(self) -> None:
        for config in _draw(self.make_searcher(0), self.n_suggestions):
            assert isinstance(config, dict)
            assert config
            if self.plain_values:
                _assert_plain(config)
                assert json.loads(json.dumps(config)) == config

    def test_the_same_seed_gives_the_same_suggestions(self) -> None:
        first, second = (_draw(self.make_searcher(3), self.n_suggestions) for _ in range(2))
        assert first == second

    def test_other_seeds_give_other_suggestions(self) -> None:
        if not self.depends_on_seed:
            pytest.skip("the searcher is the same for all seeds")
        drawn = [json.dumps(_draw(self.make_searcher(seed), self.n_suggestions)) for seed in range(4)]
        assert len(set(drawn)) > 1

    def test_a_changed_suggestion_changes_nothing_else(self) -> None:
        """Ray and trainables write into the config they get."""
        searcher, untouched = self.make_searcher(0), self.make_searcher(0)
        for number in range(self.n_suggestions):
            config = _suggest(searcher, f"trial{number}")
            assert config == untouched.suggest(f"trial{number}")
            config.clear()

    def test_none_means_later_and_finished_means_never(self) -> None:
        """A searcher that answers None gives more once its trials have ended; after FINISHED nothing comes."""
        searcher = self.make_searcher(0)
        live: list[str] = []
        suggested = 0
        for number in range(4 * (self.n_configs or self.n_suggestions)):
            config = searcher.suggest(f"trial{number}")
            if config == Searcher.FINISHED:
                break
            if config is None:
                assert live, "None with no live trial left: the run would wait for ever"
                _complete(searcher, live.pop(0))
                continue
            suggested += 1
            live.append(f"trial{number}")
        if self.n_configs is None:
            assert suggested >= self.n_suggestions
            return
        assert suggested == self.n_configs
        for trial_id in live:
            _complete(searcher, trial_id)
        assert searcher.suggest("one more") == Searcher.FINISHED

    # -- results -------------------------------------------------------------------------------------------------------

    def test_many_trials_may_be_live_and_end_in_any_order(self) -> None:
        searcher = self.make_searcher(0)
        ids = [f"trial{number}" for number in range(self.n_suggestions)]
        for trial_id in ids:
            assert isinstance(searcher.suggest(trial_id), dict)
        for epoch in (1, 2):
            for trial_id in reversed(ids):
                searcher.on_trial_result(trial_id=trial_id, result=_result(epoch, score=epoch / 10))
        for trial_id in ids[::2] + ids[1::2]:
            _complete(searcher, trial_id)

    def test_a_trial_may_end_without_a_result(self) -> None:
        """Ray passes None for a trial that is stopped while it is paused, and ``error=True`` for one that failed."""
        searcher = self.make_searcher(0)
        for trial_id, error in (("paused", False), ("failed", True)):
            searcher.suggest(trial_id)
            searcher.on_trial_complete(trial_id=trial_id, result=None, error=error)
        assert searcher.suggest("next") is not None

    def test_a_diverged_trial_is_tolerated(self) -> None:
        searcher = self.make_searcher(0)
        searcher.suggest("diverged")
        searcher.on_trial_result(trial_id="diverged", result=_result(1, math.nan))
        searcher.on_trial_complete(trial_id="diverged", result=_result(1, math.nan))
        assert searcher.suggest("next") is not None

    def test_results_of_unknown_trials_are_tolerated(self) -> None:
        """After a restore Ray may tell of trials that the searcher never suggested."""
        if not self.knows_strangers:
            pytest.skip("the searcher accepts only trials of its own")
        searcher = self.make_searcher(0)
        searcher.on_trial_result(trial_id="stranger", result=_result(1, 0.5))
        searcher.on_trial_complete(trial_id="stranger", result=_result(1, 0.5))
        assert searcher.suggest("own") is not None

    # -- saving --------------------------------------------------------------------------------------------------------

    def test_a_restored_searcher_goes_on_where_it_was(self, tmp_path: Path) -> None:
        searcher = self.make_searcher(5)
        self._run_half(searcher)
        searcher.save(str(tmp_path / "state"))
        restored = self.make_searcher(99)
        restored.restore(str(tmp_path / "state"))
        self._assert_same_future(searcher, restored, live="live")

    def test_it_is_saved_into_a_folder_and_the_newest_state_is_restored(self, tmp_path: Path) -> None:
        """``save_to_dir`` and ``restore_from_dir``, as Ray's experiment checkpoint calls them."""
        searcher = self.make_searcher(5)
        searcher.save_to_dir(str(tmp_path), "2026-01-01_00-00-00")
        self._run_half(searcher)
        searcher.save_to_dir(str(tmp_path), "2026-01-01_00-00-01")
        restored = self.make_searcher(99)
        restored.restore_from_dir(str(tmp_path))
        self._assert_same_future(searcher, restored, live="live")

    def test_a_pickled_searcher_is_the_same(self) -> None:
        """``Tuner`` pickles its searcher to be able to restore."""
        searcher = self.make_searcher(5)
        self._assert_same_future(searcher, cloudpickle.loads(cloudpickle.dumps(searcher)))

    def _run_half(self, searcher: Searcher) -> None:
        _draw(searcher, min(2, self.n_suggestions // 3), "before")
        searcher.suggest("live")
        searcher.on_trial_result(trial_id="live", result=_result(1, 0.75))

    def _assert_same_future(self, searcher: Searcher, other: Searcher, live: str = "") -> None:
        if live:
            _complete(other, live)
            _complete(searcher, live)
        n = min(3, self.n_suggestions // 2)  # with the half before, no more than were promised
        expected, got = _draw(searcher, n, "after"), _draw(other, n, "after")
        assert [config.keys() for config in got] == [config.keys() for config in expected]
        if self.resumes_exactly:
            assert got == expected

    # -- the run's config ----------------------------------------------------------------------------------------------

    def test_a_nested_config_is_searched_in_its_places(self) -> None:
        """Suggestions are merged over the config: they must have its shape and leave fixed entries alone."""
        searcher = self.make_empty_searcher()
        config = {"train": {"lr": tune.choice([0.1, 0.01, 0.001]), "steps": 3}, "kind": tune.choice(["a", "b"]), "n": 7}
        assert searcher.set_search_properties("score", "max", config)
        for suggestion in _draw(searcher, 3):
            assert suggestion["train"]["lr"] in (0.1, 0.01, 0.001)
            assert suggestion["kind"] in ("a", "b")
            assert suggestion["train"].get("steps", 3) == 3
            assert suggestion.get("n", 7) == 7
            assert suggestion.keys() <= config.keys()
            if self.plain_values:
                _assert_plain(suggestion)

    def test_a_flat_config_is_searched(self) -> None:
        searcher = self.make_empty_searcher()
        assert searcher.set_search_properties("score", "max", {"kind": tune.choice(["a", "b"]), "n": 7})
        assert _suggest(searcher, "trial")["kind"] in ("a", "b")

    def test_a_concurrency_limit_holds_or_is_refused(self) -> None:
        """``max_concurrent_trials`` wraps the searcher: it limits, or the searcher says in one line why not."""
        try:
            limited = ConcurrencyLimiter(self.make_searcher(0), max_concurrent=2)
        except ValueError as error:
            assert "max_concurrent" in str(error)
            assert "\n" not in str(error)
            return
        assert isinstance(limited.suggest("one"), dict)
        assert isinstance(limited.suggest("two"), dict)
        assert limited.suggest("three") is None
        limited.on_trial_complete("one", result=_result(1, 0.5))
        assert isinstance(limited.suggest("four"), dict)


def _result(epoch: int, score: float) -> dict[str, Any]:
    return {"training_iteration": epoch, "score": score}


def _suggest(searcher: Searcher, trial_id: str) -> dict[str, Any]:
    config = searcher.suggest(trial_id)
    assert isinstance(config, dict), f"expected a configuration, but got {config!r}"
    return config


def _draw(searcher: Searcher, n: int, name: str = "trial") -> list[dict[str, Any]]:
    drawn = []
    for number in range(n):
        trial_id = f"{name}{number}"
        drawn.append(_suggest(searcher, trial_id))
        _complete(searcher, trial_id)
    return drawn


def _complete(searcher: Searcher, trial_id: str) -> None:
    searcher.on_trial_result(trial_id=trial_id, result=_result(1, 0.25))
    searcher.on_trial_complete(trial_id=trial_id, result=_result(2, 0.5))


def _assert_plain(value: Any) -> None:
    if type(value) is dict:
        for key, inner in value.items():
            assert type(key) is str
            _assert_plain(inner)
    elif type(value) in (list, tuple):
        for inner in value:
            _assert_plain(inner)
    else:
        assert type(value) in (bool, int, float, str, type(None)), f"{value!r} is a {type(value).__name__}"
