"""A few hundred mutated files; benchmarks/fuzz.py reads 100,000 of them under limits of time and memory."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _fuzz_targets import targets
from fuzz import read_one

from hyperstar_tune.errors import HyperStarError, MetaDatasetError, PredictorError, SpaceError
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks.task import ImageTask


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return {target.name: target for target in targets(tmp_path_factory.mktemp("sound"))}


def test_a_mutated_file_of_any_kind_is_read_or_refused_in_one_line(sound, tmp_path):
    for name, target in sound.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes = {
                read_one(target, 11, number, tmp_path / "input")
                for number in range(60 if name != "sound folder" else 6)
            }
        assert outcomes == {"read"} if name.startswith("sound") else "refused" in outcomes, (name, outcomes)
        assert outcomes <= {"read", "refused"}, (name, outcomes)


def test_a_picture_that_is_read_as_another_one_is_a_failure(sound, tmp_path):
    target = sound["sound image"]
    wrong = replace(
        target, mutate=lambda files, chance: {"1/x": files["0/x"]}, files={"0/x": next(iter(target.files.values()))}
    )
    label = int(next(iter(target.files))[0])
    assert label != 1
    assert f"x: picture 1 was read as {label}" in read_one(wrong, 0, 0, tmp_path / "input")


def enormous(folder):
    try:
        np.empty(2**60, dtype=np.uint8)
    except MemoryError as error:
        raise SpaceError("a space must be readable, but is not") from error


def test_a_refusal_behind_which_memory_ran_out_counts_as_a_failure(sound, tmp_path):
    target = replace(sound["curves"], read=enormous)
    assert read_one(target, 0, 0, tmp_path / "input").startswith("over memory: SpaceError: a space must be readable")


def write(files, folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_task_name_that_leaves_the_folder_of_the_collection_is_refused(sound, tmp_path):
    files = dict(sound["collection journal"].files)
    files["collection.json"] = files["collection.json"].replace(b'"name": "a"', b'"name": "../../a"')
    write(files, tmp_path / "deep" / "collection")
    (tmp_path / "a.jsonl").write_bytes(files["cells/a.jsonl"])
    with pytest.raises(MetaDatasetError, match=r"must be a file name, but .*'\.\./\.\./a'"):
        MetaDataset.from_collection(tmp_path / "deep" / "collection")


def test_a_task_name_with_half_a_character_is_refused(sound, tmp_path):
    files = dict(sound["collection journal"].files)
    files["collection.json"] = files["collection.json"].replace(b'"name": "a"', b'"name": "\\ud800"')
    with pytest.raises(MetaDatasetError, match=r"must be Unicode text, but got '\\ud800'"):
        MetaDataset.from_collection(write(files, tmp_path))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *(("predictor, damaged", "card.json"), ("predictor, damaged", "weights.safetensors")),
        *(("meta-dataset", "metadata.json"), ("collection journal", "cells/a.jsonl"), ("curves", "curves.csv")),
    ],
)
def test_a_file_that_is_a_loop_of_symlinks_is_refused(sound, tmp_path, name, path):
    folder = write(sound[name].files, tmp_path / "input")
    (folder / path).unlink()
    (folder / path).symlink_to(folder / path)
    with pytest.raises(HyperStarError) as error:
        sound[name].read(folder)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_a_loop_of_symlinks_neither_hangs_nor_hides_images(digits_folder, tmp_path):
    import shutil

    root = tmp_path / "looped"
    shutil.copytree(digits_folder, root)
    inside = next(path for path in root.rglob("*") if path.is_dir() and any(path.glob("*.png")))
    (inside / "again").symlink_to(inside, target_is_directory=True)
    assert ImageTask.from_folder(root).n_train == ImageTask.from_folder(digits_folder).n_train


def test_an_array_whose_header_states_more_than_the_file_holds_takes_no_memory(sound, tmp_path):
    folder = write(sound["meta-dataset"].files, tmp_path / "input")
    np.lib.format.write_array_header_1_0(
        (folder / "objectives_evaluations.npy").open("wb"),
        {"descr": "<f4", "fortran_order": False, "shape": (2**40,)},
    )
    with pytest.raises(MetaDatasetError, match="damaged"):
        MetaDataset.load(folder)


def test_a_predictor_whose_card_states_enormous_networks_is_refused_before_they_are_built(sound, tmp_path):
    import json

    from hyperstar_tune.predictor.artifact import read_artifact, write_artifact

    folder = write(sound["predictor, damaged"].files, tmp_path / "input")
    card, tensors = read_artifact(folder)
    card["architecture"] |= {"width": 2**20, "hidden": 2**20}
    write_artifact(folder, json.loads(json.dumps(card)), tensors)
    with pytest.raises(PredictorError, match="must have the shape"):
        Predictor.load(folder)


def test_a_space_of_more_configurations_than_can_be_listed_is_refused():
    space = SearchSpace.from_values({f"p{i}": list(range(100)) for i in range(5)})
    with pytest.raises(SpaceError, match="at most 1000000 configurations can be listed"):
        space.grid()


def test_text_that_no_file_can_hold_is_refused_in_the_tasks_of_a_collection(sound, tmp_path):
    files = dict(sound["collection journal"].files)
    files["collection.json"] = files["collection.json"].replace(b'"location": ""', b'"location": "\\ud800"')
    with pytest.raises(MetaDatasetError, match="must describe tasks plainly, but"):
        MetaDataset.from_collection(write(files, tmp_path / "collection"))


def test_texts_with_a_null_at_their_end_are_refused_as_values():
    for values in (["sgd\0"], ["sgd\0", "adam"]):
        with pytest.raises(SpaceError, match="without a null at their end"):
            SearchSpace.from_values({"optimizer": values})


def test_a_header_that_asks_a_file_for_too_much_is_read_from_memory(tmp_path, monkeypatch):
    from PIL import Image

    from hyperstar_tune.tasks import sources

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    real = Image.open

    def greedy(file):
        if isinstance(file, Path):
            raise MemoryError
        return real(file)

    monkeypatch.setattr(sources.Image, "open", greedy)
    assert sources.read_header(tmp_path / "a.png") == (None, False)
