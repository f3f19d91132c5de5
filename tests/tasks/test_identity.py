"""The identity of a task notices changes that its sample hash does not."""

import shutil

import numpy as np
import pytest
from folder_makers import noise, write_pets
from PIL import Image

from hyperstar_tune.tasks import ImageTask


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


@pytest.mark.parametrize(
    "change",
    [
        exchange_labels,
        add_class,
        rename_class,
        lambda root: (root / "train/cats/0.png").rename(root / "train/dogs/x.png"),
        lambda root: (root / "val/cats/0.png").unlink(),
        lambda root: (root / "val/cats/0.png").rename(root / "val/cats/z.png"),
        lambda root: Image.fromarray(noise(77)).save(root / "val/cats/0.png"),
        lambda root: Image.fromarray(255 - np.asarray(Image.open(root / "val/dogs/1.png"))).save(
            root / "val/dogs/1.png"
        ),
    ],
)
def test_changed_labels_and_images_are_noticed(tmp_path, change):
    root = splits(tmp_path / "pets")
    before = ImageTask.from_folder(root).identity()
    assert ImageTask.from_folder(root).identity() == before
    change(root)
    assert ImageTask.from_folder(root).identity() != before


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
