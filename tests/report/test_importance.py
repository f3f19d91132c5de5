"""Importances: what they find, that pairs and marginals come from optuna's forest, and what is refused."""

import json

import numpy as np
import pytest
from made_up_table import make_table
from ray import tune
from ray.tune.experiment import Trial

from hyperstar_tune import SearchSpace
from hyperstar_tune.errors import HyperStarError, SearchError, SpaceError
from hyperstar_tune.report.forest import Forest
from hyperstar_tune.report.importance import importance
from hyperstar_tune.report.importance_sources import importance_of
from hyperstar_tune.search.ray_space import from_ray

pytest.importorskip("optuna")
SPACE = from_ray(
    {
        "lr": tune.loguniform(1e-4, 1),
        "kind": tune.choice(["a", "b", "c"]),
        "width": tune.choice([8, 16, 32]),
        "nothing": tune.uniform(0, 1),
    }
).space
CONFIGS = SPACE.sample(100, 0)


def score(config):
    return -abs(np.log10(config["lr"]) + 2) + 0.5 * (config["kind"] == "b")


def test_what_matters_comes_first_and_what_does_not_has_next_to_nothing():
    found = importance(CONFIGS, [score(c) for c in CONFIGS], SPACE, repeats=2)
    assert list(found.parameters)[:2] == ["lr", "kind"]
    assert found.parameters["lr"].mean > 0.6
    assert found.parameters["nothing"].mean < 0.05
    for effect in found.parameters.values():
        assert effect.low <= effect.mean <= effect.high
    values, means = found.marginals["lr"].values, found.marginals["lr"].mean
    assert values[int(np.argmax(means))] == pytest.approx(1e-2, rel=2)
    assert found.marginals["kind"].values[int(np.argmax(found.marginals["kind"].mean))] == "b"
    assert "100 trials, fanova" in str(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_pair_explains_what_neither_does_alone():
    def both(config):
        return float((config["kind"] == "a") == (config["nothing"] > 0.5))

    found = importance(CONFIGS, [both(c) for c in CONFIGS], SPACE, repeats=2)
    assert set(next(iter(found.pairs))) == {"kind", "nothing"}
    assert next(iter(found.pairs.values())).mean > 0.4


def test_ped_anova_agrees_and_has_no_interval():
    found = importance(CONFIGS, [score(c) for c in CONFIGS], SPACE, evaluator="ped-anova")
    assert next(iter(found.parameters)) == "lr"
    assert sum(effect.mean for effect in found.parameters.values()) == pytest.approx(1)
    assert all(np.isnan(effect.low) for effect in found.parameters.values())
    assert not found.pairs
    json.dumps(found.to_json(), allow_nan=False)


def test_our_boxes_give_the_importances_of_optunas_trees():
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random(60), rng.integers(0, 3, 60), rng.random(60)])
    y = np.sin(5 * x[:, 0]) + (x[:, 1] == 1) * x[:, 2]
    kinds = {"a": FloatDistribution(0, 1), "b": CategoricalDistribution(range(3)), "c": FloatDistribution(0, 1)}
    study = optuna.create_study()
    for row, value in zip(x, y, strict=True):
        params = {"a": row[0], "b": int(row[1]), "c": row[2]}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=value))
    theirs = optuna.importance.FanovaImportanceEvaluator(seed=4).evaluate(study)
    forest = Forest(x, y, [0, 3, 0], seed=4)
    for place, name in enumerate("abc"):
        assert forest.single(place) == pytest.approx(theirs[name], abs=0.02)


def test_a_marginal_of_one_parameter_is_the_mean_over_the_others():
    x = np.array([[a, b] for a in np.linspace(0, 1, 12) for b in np.linspace(0, 1, 12)])
    forest = Forest(x, 3 * x[:, 0] + x[:, 1], [0, 0], seed=0)
    np.testing.assert_allclose(forest.marginal(0, np.array([0.05, 0.5, 0.95])), [0.65, 2.0, 3.35], atol=0.2)
    assert forest.interaction(0, 1) < 0.02


def test_conditional_parameters_may_be_missing():
    space = SearchSpace.from_name("cnn-from-scratch")
    configs = space.sample(60, 0)
    found = importance(configs, [config["n_conv"] for config in configs], space, repeats=2, pairs=False)
    assert next(iter(found.parameters)) == "n_conv"


def test_few_trials_get_a_warning_and_diverged_ones_are_left_out(caplog):
    scores = [score(c) for c in CONFIGS[:12]]
    scores[0] = np.nan
    assert importance(CONFIGS[:12], scores, SPACE, repeats=2, pairs=False).n_trials == 11
    assert "11 trials are few for the importance of 4 parameters; have at least 20" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluator": "shap"}, "an evaluator of importance is one of fanova, ped-anova, but got 'shap'"),
        ({"repeats": 1}, "at least 2 repeats"),
        ({"scores": [1.0] * 100}, "different scores"),
        ({"scores": [np.nan] * 97 + [1, 2, 3]}, "at least 4 trials .* there are 3"),
        ({"space": SearchSpace.from_values({"x": [1]})}, "more than one value"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    arguments = {"configs": CONFIGS, "scores": [score(c) for c in CONFIGS], "space": SPACE, **change}
    with pytest.raises(SpaceError, match=message):
        importance(arguments.pop("configs"), arguments.pop("scores"), arguments.pop("space"), **arguments)


def test_a_table_is_judged_for_a_task_or_for_all(tmp_path, hyperstar):
    make_table().save(tmp_path / "table")
    status, out, _ = hyperstar("importance", tmp_path / "table", "--repeats", 2, "--figures", tmp_path / "figures")
    assert status == 0
    assert "table: all tasks" in out
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"importance.png", "marginals.png"}
    (label,) = importance_of(tmp_path / "table", task="task1", evaluator="ped-anova")
    assert label == "table: task1"
    status, _, err = hyperstar("importance", tmp_path / "table", "--task", "task99")
    assert status == 2
    assert "a task is one of" in err


def write_run(folder, trials):
    """What Ray saves of a run: a trial's configuration and its metrics, as text in JSON."""
    data = []
    for number, (config, losses) in enumerate(trials):
        state, metadata = map(json.loads, Trial("x", stub=True, config=config, trial_id=f"t{number}").get_json_state())
        metadata["metric_analysis"] = {"loss": {"max": max(losses), "min": min(losses), "last": losses[-1]}}
        data.append((json.dumps(state), json.dumps(metadata)))
    folder.mkdir()
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(
        json.dumps({"trial_data": data, "runner_data": {}, "stats": {}})
    )


def test_a_run_of_ray_tune_is_judged_for_each_image_size(tmp_path, caplog):
    rng = np.random.default_rng(0)
    trials = []
    for size, n in ((32, 30), (64, 20), (128, 3)):
        for _ in range(n):
            config = {"train": {"lr": float(10 ** rng.uniform(-4, 0))}, "image_size": size, "data": "folder"}
            trials.append((config, [9.0, float(abs(np.log10(config["train"]["lr"]) + size / 32))]))
    write_run(tmp_path / "run", trials)
    found = importance_of(tmp_path / "run", metric="loss", mode="min", repeats=2)
    assert {label: one.n_trials for label, one in found.items()} == {"32 px": 30, "64 px": 20}
    assert "128 px: importance needs at least 4 trials" in caplog.text
    for label, best in (("32 px", 0.1), ("64 px", 0.01)):
        marginal = found[label].marginals["train/lr"]
        assert marginal.values[int(np.argmax(marginal.mean))] == pytest.approx(best, rel=2)
    with pytest.raises(SearchError, match=r"reported 'acc', but those of .* reported .*loss"):
        importance_of(tmp_path / "run", metric="acc")


def test_what_is_no_run_is_refused_in_a_line(tmp_path):
    with pytest.raises(SearchError, match="folder of a run of Ray Tune or of a meta-dataset") as raised:
        importance_of(tmp_path)
    assert "\n" not in str(raised.value)
    with pytest.raises(HyperStarError, match="mode must be"):
        importance_of(tmp_path, mode="up")
