import json

import pytest

from hyperstar_tune.errors import PlanError, SearchError
from hyperstar_tune.tuning import options as options_file
from hyperstar_tune.tuning.options import TuneOptions, default_network


@pytest.mark.parametrize("more", [{}, {"hours": 1.0, "epochs": 3}, {"hours": 0.0}, {"hours": -1.0}, {"epochs": 0}])
def test_a_run_has_one_budget(more):
    with pytest.raises(PlanError, match=r"--(hours|epochs)"):
        TuneOptions(task="x", **more)


@pytest.mark.parametrize(
    ("installed", "model", "weights", "expected"),
    [
        (True, None, None, ("tf_efficientnet_lite0", "package")),
        (False, None, None, ("mobilenetv2_100", "hub")),
        (True, "resnet18", None, ("resnet18", "hub")),
        (True, "tf_efficientnet_lite0", None, ("tf_efficientnet_lite0", "package")),
        (False, "tf_efficientnet_lite0", None, ("tf_efficientnet_lite0", "hub")),
        (True, None, "own", ("torchvision/shufflenet_v2_x1_0", "own")),
        (True, None, "hub", ("mobilenetv2_100", "hub")),
        (True, "resnet18", "mine.pth", ("resnet18", "mine.pth")),
    ],
)
def test_weights_that_are_installed_come_before_the_hubs(monkeypatch, installed, model, weights, expected):
    monkeypatch.setattr(options_file, "_is_installed", lambda name: installed)
    assert default_network(model, weights) == expected


def test_options_are_kept_in_the_runs_folder(tmp_path):
    asked = TuneOptions(
        task="x", epochs=9, mean=(0.1, 0.2, 0.3), std=(1, 1, 1), model_args={"drop_rate": 0.1}, weights="own"
    )
    asked.save(tmp_path, identity="abc")
    assert TuneOptions.load(tmp_path) == (asked, {"identity": "abc"})
    assert asked.settings(4).mean == (0.1, 0.2, 0.3)
    (tmp_path / "tune.json").write_text(json.dumps({"task": "x", "metric": "auc", "epochs": 1}))
    with pytest.raises(SearchError, match="'auc'"):
        TuneOptions.load(tmp_path)
    (tmp_path / "tune.json").write_text("{")
    with pytest.raises(SearchError, match=r"readable tune\.json"):
        TuneOptions.load(tmp_path)
