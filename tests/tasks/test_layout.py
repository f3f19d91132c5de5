"""Names and places of splits."""

import pytest
from folder_makers import write_pets
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks import ImageTask, check_folder
from hyperstar_tune.tasks.layout import split_kind


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train_set", "validation_set"),
        ("TRAIN", "VAL"),
        ("train", "dev"),
        ("train", "eval"),
        ("train", "holdout"),
        ("train", "hold-out"),
        ("training_data", "validation data"),
        ("train2017", "val2017"),
        ("TrainingSet", "EvaluationSet"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("wrapper", ["", "archive", "a/b"])
def test_usual_names_of_splits_are_known_wherever_they_are(tmp_path, train, val, nested, wrapper):
    for name, n in ((train, 6), (val, 3)):
        write_pets(tmp_path / wrapper / name / (name if nested else ""), n)
    task = ImageTask.from_folder(tmp_path)
    assert (task.classes, task.n_train, task.n_val) == (("cats", "dogs"), 12, 6)
    assert list(check_folder(tmp_path).counts) == ["train", val]
    assert task.test_folder is None


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("seg_train", "seg_test"),
        ("train_images", "test_images"),
        ("trainset", "testset"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_test_folder_chooses_nothing_and_validation_is_cut_off_training(tmp_path, train, test, nested):
    for name, n in ((train, 10), (test, 3)):
        write_pets(tmp_path / name / (name if nested else ""), n)
    task = ImageTask.from_folder(tmp_path)
    assert (task.classes, task.n_train, task.n_val) == (("cats", "dogs"), 14, 6)
    assert task.test_folder == tmp_path / test / (test if nested else "")
    assert task.summary().endswith(f"6 validation images; {test}/ is held out")
    assert not any(task.test_folder in path.parents for split in ("train", "val") for path in task.sources[split].paths)
    assert check_folder(tmp_path).counts == {
        split: {"cats": n, "dogs": n} for split, n in (("train", 7), ("val", 3), (test, 3))
    }


def test_test_images_without_known_classes_are_left_alone(tmp_path, caplog):
    for name, n, classes in (("train", 10, ("cats", "dogs")), ("test", 3, ("unknown",))):
        write_pets(tmp_path / name, n, classes=classes)
    assert ImageTask.from_folder(tmp_path).test_folder is None
    assert "test/ is not used, as it has classes that training images lack, such as 'unknown'" in caplog.text


def test_a_wrapper_around_plain_classes_is_looked_through(tmp_path):
    write_pets(tmp_path / "PetImages", 10)
    (tmp_path / "readme.txt").write_text("pets")
    task = ImageTask.from_folder(tmp_path)
    assert (task.classes, task.n_train, task.n_val) == (("cats", "dogs"), 14, 6)


def test_validation_is_preferred_to_test_and_what_is_not_used_is_named(tmp_path):
    for name, n in (("train", 6), ("valid", 3), ("test", 5), ("extra", 2)):
        write_pets(tmp_path / name, n)
    task = ImageTask.from_folder(tmp_path)
    assert (task.n_val, task.test_folder) == (6, tmp_path / "test")
    report = check_folder(tmp_path)
    assert report.unused == ("extra/",)
    Image.new("RGB", (4, 4)).save(tmp_path / "train" / "loose.png")
    assert "not used: extra/, 1 files straight in train/" in str(check_folder(tmp_path))


@pytest.mark.parametrize("names", [("part1", "part2"), ("fold_a", "fold_b"), ("images", "augmented")])
def test_classes_that_are_all_divided_alike_are_refused(tmp_path, names):
    for name in names:
        write_pets(tmp_path / name)
    with pytest.raises(
        TaskError, match=r"may not be divided alike or into splits, but folders in .* hold cats, dogs; .* train and val"
    ):
        ImageTask.from_folder(tmp_path)
    assert "divided alike" in check_folder(tmp_path).refused


@pytest.mark.parametrize("inner", [("train", "val"), ("images", "masks"), ("Train", "Test")])
def test_splits_and_masks_below_the_classes_are_refused(tmp_path, inner):
    for name in ("cats", "dogs"):
        write_pets(tmp_path / name, classes=inner)
    with pytest.raises(TaskError, match="may not be divided alike"):
        ImageTask.from_folder(tmp_path)


def test_one_inner_folder_per_class_or_different_ones_are_no_splits(tmp_path):
    for name in ("cats", "dogs"):
        write_pets(tmp_path / name, classes=("images",))
    write_pets(tmp_path / "birds", classes=("wild", "tame"))
    assert ImageTask.from_folder(tmp_path).classes == ("birds", "cats", "dogs")


def test_images_straight_in_folders_named_like_splits_are_refused(tmp_path):
    write_pets(tmp_path, classes=("training_set", "test_set"))
    with pytest.raises(TaskError, match="test_set and training_set need one folder per class"):
        ImageTask.from_folder(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path):
    for name in ("train", "training_set", "val"):
        write_pets(tmp_path / name)
    with pytest.raises(TaskError, match=r"one folder for train, but .* has train and training_set; keep one"):
        ImageTask.from_folder(tmp_path)


def test_names_of_things_are_no_splits():
    assert [split_kind(n) for n in ("bus", "trainer", "testudo", "valley", "latest", "devil", "data", "set", "10")] == [
        None
    ] * 9


def test_a_data_set_beside_another_folder_of_images_is_no_class(tmp_path):
    for split in ("train", "val"):
        write_pets(tmp_path / "dataset" / split)
    write_pets(tmp_path, classes=("figures",))
    with pytest.raises(TaskError, match="hold train, val; if the outer"):
        ImageTask.from_folder(tmp_path)


def test_a_folder_that_may_not_be_read_is_an_error_in_one_line(tmp_path, monkeypatch):
    write_pets(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(TaskError, match=r"must be readable, but: .*Permission denied"):
        ImageTask.from_folder(tmp_path)
    assert "must be readable" in check_folder(tmp_path).refused


def test_a_loop_of_folders_is_an_error_in_one_line(tmp_path):
    write_pets(tmp_path)
    (tmp_path / "birds").symlink_to(tmp_path / "birds")
    with pytest.raises(TaskError, match="birds"):
        ImageTask.from_folder(tmp_path)
