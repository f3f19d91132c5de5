import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor import PlusPredictor, Predictor, train_plus
from hyperstar_tune.predictor.artifact import write_artifact
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.predictor import card_entry
from hyperstar_tune.tasks.task import ImageTask

SETTINGS = PlusSettings(traits=("sharpness", "brightness"), penalty=1.0)  # of striped_world


@pytest.fixture(scope="module")
def plus(world):
    return train_plus(world.table.subset(range(2, 10)), world.tasks, SETTINGS, name="plus", about={"licence": "none"})


@pytest.fixture
def saved(plus, tmp_path):
    plus.save(tmp_path / "plus")
    return tmp_path / "plus"


def test_a_loaded_one_ranks_exactly_like_the_saved_one(plus, saved, world):
    loaded = Predictor.load(saved)
    assert isinstance(loaded, PlusPredictor)
    assert loaded.rank(world.tasks["striped0"]) == plus.rank(world.tasks["striped0"])
    assert loaded.card == plus.card
    assert (loaded.name, loaded.card["method"], loaded.card["licence"]) == ("plus", "hyperstar_plus", "none")


def test_a_ranking_names_alike_tasks_and_says_whether_it_has_seen_these(plus, world):
    ranking = plus.rank(world.tasks["striped0"])
    assert len(ranking.nearest) == 3
    assert all(name.startswith("striped") for name in ranking.nearest)
    families = {task["name"]: task["family"] for task in plus.card["tasks"]}
    assert len({families[name] for name in ranking.nearest}) == 3
    assert (ranking.seen, ranking.share) == (False, 1.0)
    assert min(ranking.spread) > 0
    assert plus.rank(world.tasks["striped2"]).seen


def test_what_traits_moved_adds_up_to_the_ranking(plus, world):
    task, configs = world.tasks["striped0"], world.table.configs
    ranking = plus.rank(task, configs)
    effects = plus.explain(task, ranking.configs)
    assert [effect.name for effect in effects] == list(SETTINGS.traits)
    average = plus.scores(plus.model.shift, ranking.configs)[0]  # every trait as in the mean of the known tasks
    assert np.array(ranking.scores) == pytest.approx(average + np.sum([effect.moved for effect in effects], axis=0))
    assert max(abs(move) for effect in effects for move in effect.moved) > 0.01


def test_far_from_all_known_tasks_the_ranking_is_the_average_one(plus):
    far = plus.model.shift + 100 * plus.model.scale
    assert plus.model.share(far) == 0
    assert np.array_equal(plus.model.scores(far), plus.model.mean)
    halfway = plus.model.known[0] * plus.model.scale + plus.model.shift
    assert plus.model.share(halfway) == 1


def test_single_configurations_and_foreign_ones_are_treated_as_the_space_says(plus, world):
    configs = world.table.configs[3:5]
    assert {str(config) for config in plus.rank(world.tasks["smooth1"], configs).configs} == {str(c) for c in configs}
    with pytest.raises(ValueError, match="lr"):
        plus.rank(world.tasks["smooth1"], [{**configs[0], "lr": 7.0}])


def rewrite(directory, tensors=None, **changes):
    card = json.loads((directory / "card.json").read_text())
    write_artifact(directory, card | changes, tensors or load_file(directory / "weights.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "crystal ball"}, "method is 'network', 'hyperstar_plus' or 'any_space'"),
        ({"method": ["hyperstar_plus"]}, "method is 'network', 'hyperstar_plus' or 'any_space'"),
        ({"method": "network"}, "no sound predictor"),
        ({"traits": ["weather"]}, "no sound predictor: traits must be some of"),
        ({"traits": [["sharpness"]]}, "no sound predictor"),
        ({"traits": ["sharpness"]}, "no sound predictor: tensor slopes must be"),
        ({"reach": 0.0}, "no sound predictor: the reach must be"),
        ({"reach": "far"}, "no sound predictor: the reach must be"),
        ({"tasks": []}, "no sound predictor"),
        ({"space": {}}, "no sound predictor"),
    ],
)
def test_a_card_that_does_not_go_with_its_tensors_is_refused(saved, change, message):
    rewrite(saved, **change)
    with pytest.raises(PredictorError, match=message) as error:
        Predictor.load(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["mean", "error", "slopes", "shift", "scale", "known", "encoded"])
@pytest.mark.parametrize(
    "change", [lambda v: v[:-1].contiguous(), lambda v: v * float("nan"), lambda v: v.float(), lambda v: -v.abs() - 1]
)
def test_a_tensor_of_another_shape_type_or_value_is_refused(saved, name, change):
    tensors = load_file(saved / "weights.safetensors")
    tensors[name] = change(tensors[name])
    if name not in ("scale", "error") and (tensors[name] < 0).all():
        return  # any finite number is sound there
    rewrite(saved, tensors)
    with pytest.raises(PredictorError, match="no sound predictor"):
        Predictor.load(saved)


@pytest.mark.parametrize("name", ["encoded", "falls", "image_seconds"])
@pytest.mark.parametrize(
    "change", [lambda v: v[:-1].contiguous(), lambda v: v * float("nan"), lambda v: v.double(), lambda v: v.abs() * -9]
)
def test_a_tensor_of_known_tasks_that_does_not_go_with_them_is_refused(saved, name, change):
    tensors = load_file(saved / "weights.safetensors")
    tensors[f"known.{name}"] = change(tensors[f"known.{name}"])
    if name == "encoded" and tensors["known.encoded"].dtype == torch.float32 and (tensors["known.encoded"] < 0).any():
        return  # any finite number is sound there
    rewrite(saved, tensors)
    with pytest.raises(PredictorError, match=r"no sound predictor: .*of known tasks"):
        Predictor.load(saved)


def test_half_of_what_is_known_is_refused_and_nothing_of_it_is_a_predictor_without_a_complement(saved, plus, world):
    tensors = load_file(saved / "weights.safetensors")
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("known.")}
    for kept in ({**own, "known.falls": tensors["known.falls"]}, own):
        rewrite(saved, kept)
        with pytest.raises(PredictorError, match="no sound predictor"):
            Predictor.load(saved)
    card = json.loads((saved / "card.json").read_text())
    del card["known_tasks"]
    write_artifact(saved, card, own)
    without, ranking = Predictor.load(saved).rank(world.tasks["striped0"]), plus.rank(world.tasks["striped0"])
    assert (without.complement, without.configs, without.scores) == (None, ranking.configs, ranking.scores)


def test_it_keeps_how_far_configurations_were_below_the_best_of_known_tasks_and_what_an_image_costs(plus, world):
    table = world.table.subset(range(2, 10))
    known = plus.known
    assert known.names == tuple(plus.card["known_tasks"]) == tuple(table.tasks["name"])
    steady = table.steady_scores()
    expected = np.maximum(steady - steady.max(axis=1, keepdims=True), -0.1)
    np.testing.assert_allclose(known.falls, expected, atol=1e-6)
    seconds = table.curve("epoch_seconds")[:, :, 0].mean(axis=2)
    per_image = seconds / (table.tasks["n_train"] + table.tasks["n_val"]).to_numpy()[:, None]
    np.testing.assert_allclose(known.image_seconds, np.median(per_image, axis=0), rtol=1e-5)
    ranking = plus.rank(world.tasks["striped0"])
    by_key = {str(config): row for config, row in zip(table.configs, expected.T, strict=True)}
    np.testing.assert_allclose(ranking.falls, [by_key[str(config)] for config in ranking.configs], atol=2e-5)
    assert ranking.known_tasks == known.names
    task = world.tasks["striped0"]
    prices = dict(zip(map(str, table.configs), (task.n_train + task.n_val) * known.image_seconds, strict=True))
    np.testing.assert_allclose(ranking.costs, [prices[str(config)] for config in ranking.configs], rtol=1e-5)


def test_what_is_known_can_be_renewed_and_scores_stay(saved, world):
    predictor = Predictor.load(saved)
    before = predictor.rank(world.tasks["striped0"])
    predictor.learn_known(world.table)
    predictor.save(saved)
    after = Predictor.load(saved).rank(world.tasks["striped0"])
    assert (after.configs, after.scores) == (before.configs, before.scores)
    assert len(after.known_tasks) > len(before.known_tasks)


@pytest.mark.parametrize("entry", [{"image_hash": [1]}, {"cut_from": [{}]}, {"cut_from": 5}])
def test_odd_hashes_on_a_strangers_card_are_refused(saved, entry):
    card = json.loads((saved / "card.json").read_text())
    rewrite(saved, tasks=[{"name": "x", **entry} for _ in card["tasks"]])
    with pytest.raises(PredictorError, match="no sound predictor"):
        Predictor.load(saved)


def test_the_searcher_takes_it(saved, world):
    from hyperstar_tune.search import HyperStarSearcher

    searcher = HyperStarSearcher(task=world.tasks["striped0"], predictor=saved)
    assert searcher.ranking.source == "plus"
    assert searcher.ranking.configs == Predictor.load(saved).rank(world.tasks["striped0"]).configs


def test_the_command_prints_places_nearest_tasks_and_a_warning(saved, tmp_path, capsys, monkeypatch):
    from hyperstar_tune import cli

    for label in ("a", "b"):
        (tmp_path / "task" / label).mkdir(parents=True)
        for i in range(6):  # blank: unlike anything known
            Image.fromarray(np.full((20, 30, 3), 255, np.uint8)).save(tmp_path / "task" / label / f"{i}.png")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["hyperstar", "rank", *arguments, "--predictor", str(saved)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr()

    code, printed = run(str(tmp_path / "task"))
    assert code == 0
    assert "what the images show: s" in printed.out
    assert "no known task is near" in printed.out
    assert len([line for line in printed.out.splitlines() if "lr=" in line]) == 10 + 1  # the complement's reason
    code, printed = run(str(tmp_path / "task"), "--json")
    answer = json.loads(printed.out)
    assert (len(answer["nearest"]), answer["share"], len(answer["ranking"])) == (3, 0.0, 12)
    code, printed = run()
    assert code == 2
    assert "FOLDER" in printed.err.upper()


@pytest.mark.parametrize(("name", "max_epochs"), [("mobilenet-v2-64px", 32), ("shufflenet-v2-x1-64px", 16)])
def test_the_shipped_ones_are_this_and_their_cards_say_how_they_rank_for_unknown_families(name, max_epochs):
    shipped = Predictor.load(name)
    assert isinstance(shipped, PlusPredictor)
    mean = shipped.card["measured"]["mean"]
    assert mean["predictor"]["ap10"] > mean["mean accuracy"]["ap10"]
    assert {"traits", "readings", "penalty"} <= set(shipped.card["settings"])
    assert (shipped.fingerprint.max_epochs, shipped.image_size, len(shipped.space)) == (max_epochs, 64, 108)


def test_a_task_is_known_by_what_it_was_cut_from(plus):
    rng = np.random.default_rng(0)
    whole, other = (
        ImageTask.from_arrays(name, rng.integers(0, 255, (400, 8, 8, 3), dtype=np.uint8), np.arange(400) % 3)
        for name in ("whole", "other")
    )
    small, large = whole.sub_task("small"), whole.sub_task("large")
    for learned in (small, whole):
        known = copy.copy(plus)
        known.card = plus.card | {"tasks": [card_entry(learned, "whole")]}
        assert all(known.has_seen(task) for task in (whole, small, large))
        assert not known.has_seen(other)
        assert not known.has_seen(other.sub_task("small"))


def test_images_other_than_those_of_the_curves_are_refused(world):
    hashes = [world.tasks[name].sample_hash() for name in world.table.tasks["name"]]
    recorded = replace(world.table, tasks=world.table.tasks.assign(image_hash=hashes))
    train_plus(recorded, world.tasks, SETTINGS)
    others = {**world.tasks, "smooth1": world.tasks["smooth3"]}
    with pytest.raises(PredictorError, match="but task 'smooth1' has others"):
        train_plus(recorded, others, SETTINGS)
    with pytest.raises(PredictorError, match="'smooth1' has none"):
        train_plus(recorded, {name: task for name, task in world.tasks.items() if name != "smooth1"}, SETTINGS)
