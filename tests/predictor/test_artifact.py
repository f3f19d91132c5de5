import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.predictor.artifact import write_artifact


def change_card(directory, **changes):
    card = json.loads((directory / "card.json").read_text())
    (directory / "card.json").write_text(json.dumps(card | changes))


def rewrite(directory, tensors=None, **changes):
    """A well-formed artifact with right checksums, of other contents."""
    card = json.loads((directory / "card.json").read_text())
    write_artifact(directory, card | changes, tensors or load_file(directory / "weights.safetensors"))


def test_a_loaded_predictor_ranks_exactly_like_the_saved_one(predictor, artifact, small_world):
    loaded = Predictor.load(artifact)
    batches = small_world.tasks["striped0"].batches(2, 8, 32)
    assert np.array_equal(loaded.scores(batches), predictor.scores(batches))
    assert (loaded.name, loaded.fingerprint) == (predictor.name, predictor.fingerprint)
    assert loaded.card == predictor.card
    assert not loaded.space.difference(predictor.space)


def test_networks_know_the_complement_too(artifact, small_world):
    ranking = Predictor.load(artifact).rank(next(iter(small_world.tasks.values())))
    assert ranking.complement is not None
    assert ranking.order()[:2] == [0, ranking.complement]


def test_two_files_the_trained_backbone_in_half_precision_and_its_frozen_part_not_at_all(artifact):
    assert sorted(path.name for path in artifact.iterdir()) == ["card.json", "weights.safetensors"]
    tensors = load_file(artifact / "weights.safetensors")
    backbone = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    assert backbone
    assert all(name.startswith(("backbone.stage4.", "backbone.conv5.")) for name in backbone)
    assert {str(tensor.dtype) for tensor in backbone.values()} == {"torch.float16"}


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: flip_last_byte(d / "weights.safetensors"), "not the file its card describes"),
        (lambda d: (d / "weights.safetensors").write_bytes(b""), "not the file its card describes"),
        (lambda d: (d / "weights.safetensors").unlink(), "needs the file weights.safetensors"),
        (lambda d: (d / "card.json").unlink(), "needs the file card.json"),
        (lambda d: (d / "card.json").write_text("{"), "must be JSON"),
        (lambda d: (d / "card.json").write_bytes(b"\xff\xfe\x00"), "must be JSON"),
        (lambda d: (d / "card.json").write_text("[]"), "no predictor's card"),
        (lambda d: change_card(d, schema=2), "schema version must be 1, but .* has 2"),
        (lambda d: change_card(d, name="better"), "was changed after it was written"),
        (lambda d: change_card(d, tasks=[]), "was changed after it was written"),
        (lambda d: rewrite(d, architecture={"n_features": 3}), "no sound predictor"),
        (lambda d: rewrite(d, space={}), "no sound predictor"),
        (lambda d: rewrite(d, backbone={"name": "resnet", "sha256_16": "0", "trained": "none"}), "backbone resnet"),
    ],
)
def test_a_damaged_or_foreign_artifact_is_an_error_in_one_line(artifact, damage, message):
    damage(artifact)
    with pytest.raises(PredictorError, match=message) as error:
        Predictor.load(artifact)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [lambda t: t.popitem(), lambda t: t.update({"network.more": next(iter(t.values())).clone()})]
)
def test_other_tensors_than_the_networks_are_refused(artifact, change):
    tensors = load_file(artifact / "weights.safetensors")
    change(tensors)
    rewrite(artifact, tensors)
    with pytest.raises(PredictorError, match="is missing or unknown"):
        Predictor.load(artifact)


@pytest.mark.parametrize("change", [lambda v: v[:1].contiguous(), lambda v: v * float("nan")])
def test_a_tensor_of_another_shape_or_not_finite_is_refused(artifact, change):
    tensors = load_file(artifact / "weights.safetensors")
    tensors["network.from_both.weight"] = change(tensors["network.from_both.weight"])
    rewrite(artifact, tensors)
    with pytest.raises(PredictorError, match="no sound predictor"):
        Predictor.load(artifact)


def test_a_safetensors_file_of_someone_elses_is_refused(artifact):
    save_file(
        {"weight": load_file(artifact / "weights.safetensors")["network.from_both.bias"]},
        artifact / "weights.safetensors",
    )
    with pytest.raises(PredictorError, match="not the file its card describes"):
        Predictor.load(artifact)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(PredictorError, match=r"one of .* or a directory, but got 'no-such-predictor'"):
        Predictor.load("no-such-predictor")


def test_a_predictor_is_taken_as_it_is(predictor):
    assert Predictor.load(predictor) is predictor
