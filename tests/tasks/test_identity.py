"""The identity of a task notices changes that its sample hash does not."""

import json
import shutil

import numpy as np
import pytest
from folder_makers import noise, write_pets
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks import ImageTask
from hyperstar_tune.tasks.identity import data_changes


def splits(root):
    for split, n in (("train", 6), ("val", 3)):
        write_pets(root / split, n, seed=n)
    return root


def exchange_labels(root):
    for split in ("train", "val"):
        (root / split / "cats").rename(root / split / "x")
        (root / split / "dogs").rename(root / split / "cats")
        (root / split / "x").rename(root / split / "dogs")


def add_class(root):
    for split, n in (("train", 6), ("val", 3)):
        write_pets(root / split, n, seed=9, classes=("cats", "dogs", "birds"))


def rename_class(root):
    for split in ("train", "val"):
        (root / split / "dogs").rename(root / split / "hounds")


def edit(root, name, change):
    """Rewrites an image without changing its size or the size of its file."""
    pixels = change(np.asarray(Image.open(root / name)))
    size = (root / name).stat().st_size
    for level in range(9, -1, -1):
        Image.fromarray(pixels).save(root / name, compress_level=level)
        if (root / name).stat().st_size == size:
            return


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (exchange_labels, "training and validation images have other labels or names"),
        (add_class, "classes added: birds; 18 training images instead of 12; 9 validation images instead of 6"),
        (rename_class, "classes added: hounds; classes gone: dogs"),
        (
            lambda root: (root / "train/cats/0.png").rename(root / "train/dogs/x.png"),
            "training images have other labels or names",
        ),
        (lambda root: (root / "val/cats/0.png").unlink(), "5 validation images instead of 6"),
        (
            lambda root: (root / "val/cats/0.png").rename(root / "val/cats/z.png"),
            "validation images have other labels or names",
        ),
        (
            lambda root: Image.fromarray(noise(77)).save(root / "val/cats/0.png"),
            "the content of images is another",
        ),
        (lambda root: edit(root, "val/dogs/1.png", lambda a: a[::-1].copy()), "the content of images is another"),
    ],
)
def test_changed_labels_and_images_are_noticed_and_named(tmp_path, change, said):
    root = splits(tmp_path / "pets")
    before = ImageTask.from_folder(root).identity()
    again = ImageTask.from_folder(root).identity()
    assert json.loads(json.dumps(before)) == again
    assert data_changes(before, again) == []
    change(root)
    assert "; ".join(data_changes(before, ImageTask.from_folder(root).identity())) == said


def test_exchanged_labels_of_a_folder_without_splits_are_named_too(tmp_path):
    root = write_pets(tmp_path / "pets", 20)
    before = ImageTask.from_folder(root).identity()
    (root / "cats").rename(root / "x")
    (root / "dogs").rename(root / "cats")
    (root / "x").rename(root / "dogs")
    changes = data_changes(before, ImageTask.from_folder(root).identity())
    assert changes == ["training and validation images have other labels or names"]


def test_of_many_files_a_share_with_other_content_of_the_same_size_is_noticed(tmp_path):
    for k, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for i in range(600):
            (tmp_path / name / f"{i}.ppm").write_bytes(b"P6 2 2 255\n" + bytes([k, i % 256, i // 256] * 4))
    before = ImageTask.from_folder(tmp_path).identity()
    for i in range(30):
        (tmp_path / "a" / f"{i}.ppm").write_bytes(b"P6 2 2 255\n" + bytes([9, i, 9] * 4))
    assert data_changes(before, ImageTask.from_folder(tmp_path).identity()) == ["the content of images is another"]


def test_a_file_that_vanished_is_an_error_in_one_line(tmp_path):
    task = ImageTask.from_folder(write_pets(tmp_path / "pets", 6))
    (tmp_path / "pets/cats/0.png").unlink()
    with pytest.raises(TaskError, match=r"the images of pets must be readable, but: .*0\.png"):
        task.identity()


def test_the_place_of_a_folder_does_not_matter(tmp_path):
    one = splits(tmp_path / "one")
    shutil.copytree(one, tmp_path / "elsewhere" / "two")
    assert ImageTask.from_folder(one).identity() == ImageTask.from_folder(tmp_path / "elsewhere" / "two").identity()


def test_arrays_and_sub_tasks_have_an_identity_too():
    images, labels = np.stack([noise(i) for i in range(300)]), np.arange(300) % 2
    task = ImageTask.from_arrays("a", images, labels, images[:20], labels[:20])
    assert task.identity() != ImageTask.from_arrays("a", images, 1 - labels, images[:20], labels[:20]).identity()
    changed = images.copy()
    changed[299, 0, 0, 0] ^= 1
    assert task.identity() != ImageTask.from_arrays("a", changed, labels, images[:20], labels[:20]).identity()
    assert task.sub_task("small").identity() not in (task.identity(), task.sub_task("small", seed=1).identity())
