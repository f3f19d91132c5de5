"""Expected seconds of cells, on tasks and costs that are made up here."""

from types import SimpleNamespace

import pytest

from hyperstar_tune.finetune import cell_searcher, cells
from hyperstar_tune.finetune.expected import ExpectedSeconds
from hyperstar_tune.space import SearchSpace

TASKS = [SimpleNamespace(name=name, n_train=n, n_val=50) for name, n in (("small", 100), ("large", 1000))]
SPACE = SearchSpace.from_values({"lr": [1e-3, 1e-2, 1e-1], "layers": ["head", "last_stage", "all"]}, "tiny")
TRUTH = {"head": 2.0, "last_stage": 9.0, "all": 100.0}  # not in the ratio of the rough costs


def seconds(task, config):
    return TRUTH[config["layers"]] * (1.0 if task == "small" else 12.0)


def cell(task, config, **changes):
    return {"config": config, "seconds": seconds(task, config), "error": None, **changes}


def test_nothing_is_expected_before_the_first_cell():
    expected = ExpectedSeconds(TASKS, 32)
    assert expected.of("small", SPACE.grid()[0]) is None
    expected.learn("small", [cell("small", SPACE.grid()[0], error="failed", seconds=0.0)])
    assert expected.of("small", SPACE.grid()[0]) is None


def test_cheap_cells_that_are_left_after_the_dear_ones_take_as_long_as_they_do():
    expected = ExpectedSeconds(TASKS, 32)
    dear = [config for config in SPACE.grid() if config["layers"] == "all"]
    expected.learn("small", [cell("small", config) for config in dear])
    left = [config for config in SPACE.grid() if config["layers"] != "all"]
    promised = sum(expected.of("small", config) for config in left)
    by_number = len(left) * seconds("small", dear[0])
    true = sum(seconds("small", config) for config in left)
    assert abs(promised - true) < 0.2 * abs(by_number - true)


def test_a_task_that_is_measured_tells_what_another_will_take():
    expected = ExpectedSeconds(TASKS, 32)
    expected.learn("small", [cell("small", config) for config in SPACE.grid()])
    for config in SPACE.grid():
        assert expected.of("large", config) == pytest.approx(seconds("large", config), rel=0.35)
    expected.learn("large", [cell("large", config) for config in SPACE.grid()[:3]])
    for config in SPACE.grid():
        assert expected.of("large", config) == pytest.approx(seconds("large", config), rel=0.2)


def test_a_configuration_that_is_slower_than_its_like_is_known_by_its_other_seeds():
    expected = ExpectedSeconds(TASKS, 32)
    slow = {"lr": 1e-1, "layers": "all"}
    expected.learn("small", [cell("small", config) for config in SPACE.grid()])
    expected.learn("small", [cell("small", slow, seconds=300.0) for _ in range(4)])
    assert expected.of("small", slow) > 1.5 * expected.of("small", {"lr": 1e-2, "layers": "all"})


def test_time_left_is_that_of_the_cells_that_are_left_and_not_their_number(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr(cell_searcher.time, "monotonic", lambda: now[0])
    layers = SearchSpace.from_values({"lr": [1e-3, 1e-2, 1e-1], "layers": ["head", "all"]}, "two").grid()
    wanted = [("small", config, 0) for config in sorted(layers, key=lambda config: config["layers"])]
    progress = cell_searcher.Progress(len(wanted), wanted, told.append, ExpectedSeconds(TASKS, 32))
    progress.line("nothing yet")
    assert "time left is not known yet" in told[0]
    for _, config, _ in wanted[:3]:  # those of all layers, two at a time
        now[0] += 1800
        progress.finished("small", cell("small", config, seconds=3600.0))
    assert "3/6 cells, 1.50 h, about 0.1 h left" in told[-1]  # by number it would be 1.5 h


def test_a_remark_of_all_workers_is_told_once():
    told = []
    progress = cell_searcher.Progress(1, [("small", SPACE.grid()[0], 0)], told.append, ExpectedSeconds(TASKS, 32))
    for _ in range(3):
        progress.remark("cells train with niceness 15 and not 5")
    assert told == ["cells train with niceness 15 and not 5"]


def test_a_niceness_that_the_system_does_not_allow_is_told(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(cells.os, "setpriority", refuse)
    monkeypatch.setattr(cells.os, "getpriority", lambda *_: 15)
    remark = cells.take_niceness(5)
    assert remark.startswith("cells train with niceness 15 and not 5")
    assert "RAY_worker_niceness=5" in remark
