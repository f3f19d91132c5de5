"""How commands are told a search space."""

import json

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

from hyperstar_tune.cli.spaces import find_space
from hyperstar_tune.errors import SpaceError
from hyperstar_tune.finetune.knobs import check_config

MODULE = """
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition
from ray import tune
from hyperstar_tune.space import SearchSpace

SPACE = {
    "optim": {"lr": tune.loguniform(1e-4, 1e-1), "optimizer": tune.choice(["sgd", "adamw"])},
    "layers": "all",
    "epochs": None,
}
GRID = {"lr": tune.choice([1e-3, 1e-2]), "layers": tune.choice(["head", "all"])}
THEIRS = ConfigurationSpace({"lr": (1e-4, 1e-1)})
OURS = SearchSpace.from_values({"lr": [0.1, 0.2]}, "ours")
SEARCHED_OTHERWISE = {"lr": tune.sample_from(lambda _: 0.1)}
NUMBER = 7

def circle():
    space = ConfigurationSpace()
    a, b = Categorical("a", ["x", "y"]), Categorical("b", ["x", "y"])
    space.add(a, b, EqualsCondition(a, b, "x"), EqualsCondition(b, a, "x"))
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(MODULE.replace('    "epochs": None,\n', ""))
    return path


def test_a_dict_of_ray_in_a_file_is_a_space_in_which_fixed_values_are_kept(module):
    space = find_space(f"{module}:SPACE", 12)
    assert space.name == "SPACE"
    assert set(space.parameters) == {"lr", "optimizer", "layers"}
    configs = space.grid()
    assert len(configs) == 12
    assert {config["layers"] for config in configs} == {"all"}
    assert {config["optimizer"] for config in configs} == {"sgd", "adamw"}
    assert all(1e-4 <= config["lr"] <= 1e-1 and check_config(config) for config in configs)
    assert len({config["lr"] for config in configs}) == 12
    assert find_space(f"{module}:SPACE", 12).grid() == configs


def test_other_kinds_of_spaces_and_importable_modules_too(module, monkeypatch):
    assert len(find_space(f"{module}:GRID")) == 4
    assert len(find_space(f"{module}:GRID", 4)) == 4
    assert len(find_space(f"{module}:GRID", 3)) == 3
    assert not find_space(f"{module}:THEIRS").is_finite
    assert find_space(f"{module}:OURS").grid() == [{"lr": 0.1}, {"lr": 0.2}]
    monkeypatch.syspath_prepend(module.parent)
    assert len(find_space("my_space:GRID")) == 4
    assert len(find_space("mobilenet-v2", 10)) == 10


def test_a_file_that_configspace_wrote_is_read_with_its_conditions(tmp_path):
    space = ConfigurationSpace(name="theirs")
    rate, size = Float("lr", (1e-4, 1e-1), log=True), Integer("batch_size", (8, 64))
    space.add(rate, size, EqualsCondition(size, rate, 1e-4))
    space.to_json(tmp_path / "space.json")
    found = find_space(str(tmp_path / "space.json"), 5)
    assert found.parameters == ("lr", "batch_size") or set(found.parameters) == {"lr", "batch_size"}
    assert found.name == "theirs"
    assert all("batch_size" not in config for config in found.grid())
    (tmp_path / "values.json").write_text(json.dumps({"hyperparameters": ["a", "b"]}))
    assert len(find_space(str(tmp_path / "values.json"))) == 2  # a parameter of that name


def test_conditions_in_a_circle_are_one_line(tmp_path):
    space = ConfigurationSpace(name="circle")
    first, second = Categorical("first", ["x", "y"]), Categorical("second", ["x", "y"])
    space.add(first, second, EqualsCondition(first, second, "x"))
    data = space.to_serialized_dict()
    data["conditions"].append({**data["conditions"][0], "child": "second", "parent": "first"})
    (tmp_path / "circle.json").write_text(json.dumps(data))
    (tmp_path / "circle.py").write_text(f"{MODULE}\nSPACE = circle()\n".replace('    "epochs": None,\n', ""))
    for text in (tmp_path / "circle.json", f"{tmp_path / 'circle.py'}:SPACE"):
        with pytest.raises(SpaceError, match="its conditions go in a circle") as refused:
            find_space(str(text))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "n", "reason"),
    [
        ("{module}", None, "add the name of the dict"),
        ("{module}:NOTHING", None, "has no attribute 'NOTHING'"),
        ("{module}:NUMBER", None, "is a int"),
        ("{module}:SEARCHED_OTHERWISE", None, "lr"),
        ("nowhere.py:SPACE", None, "No such file"),
        ("no_such_module:SPACE", None, "No module named"),
        ("{module}:GRID", 5, "has 4 configurations, but 5 were asked for"),
        ("{module}:SPACE", 0, "at least 1, but is 0"),
        ("nothing", None, "but got 'nothing'"),
    ],
)
def test_what_is_no_space_is_one_line(module, text, n, reason):
    with pytest.raises(SpaceError, match=reason) as refused:
        find_space(text.format(module=module), n)
    assert "\n" not in str(refused.value)
