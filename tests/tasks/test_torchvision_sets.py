"""Torchvision's data sets by name, on small files laid out as the real ones."""

import json

import numpy as np
import pytest
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.task import ImageTask

SHADES = {"a": 40, "b": 200}


@pytest.fixture(autouse=True)
def _any_checksum(monkeypatch):
    """The real files have published checksums; ours stand for them."""
    import torchvision.datasets as datasets

    for module in (datasets.flowers102, datasets.places365, datasets.stl10):
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: True)
    monkeypatch.setattr(datasets.Flowers102, "classes", list(SHADES))


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (shade, shade, shade)).save(path)


def dtd(root):
    for split, n in (("train", 4), ("val", 2), ("test", 2)):
        lines = []
        for name, shade in SHADES.items():
            for i in range(n):
                picture(root / "dtd/dtd/images" / name / f"{split}{i}.jpg", shade)
                lines.append(f"{name}/{split}{i}.jpg")
        (root / "dtd/dtd/labels").mkdir(exist_ok=True)
        (root / f"dtd/dtd/labels/{split}1.txt").write_text("\n".join(lines) + "\n")


def flowers(root):
    from scipy.io import savemat

    base = root / "flowers-102"
    labels = np.array([1, 2] * 6)
    for i, label in enumerate(labels, 1):
        picture(base / "jpg" / f"image_{i:05d}.jpg", list(SHADES.values())[label - 1])
    savemat(base / "imagelabels.mat", {"labels": labels})
    savemat(base / "setid.mat", {"trnid": np.arange(1, 9), "valid": np.arange(9, 13), "tstid": np.arange(9, 11)})


def pets(root):
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for split, n in (("trainval", 4), ("test", 2)):
        lines = []
        for label, (name, shade) in enumerate(SHADES.items(), 1):
            for i in range(n):
                picture(base / "images" / f"{name}_{split}{i}.jpg", shade)
                lines.append(f"{name}_{split}{i} {label} 1 1")
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n")


def food(root):
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, n in (("train", 4), ("test", 2)):
        listed = {name: [f"{name}/{split}{i}" for i in range(n)] for name in SHADES}
        for name, files in listed.items():
            for file in files:
                picture(base / "images" / f"{file}.jpg", SHADES[name])
        (base / "meta" / f"{split}.json").write_text(json.dumps(listed))


def stl(root):
    base = root / "stl10_binary"
    base.mkdir()
    for split, n in (("train", 4), ("test", 2)):
        shades = np.repeat(np.array(list(SHADES.values()), dtype=np.uint8), n)
        np.repeat(shades, 3 * 96 * 96).tofile(base / f"{split}_X.bin")
        np.repeat(np.array([1, 2], dtype=np.uint8), n).tofile(base / f"{split}_y.bin")
    (base / "class_names.txt").write_text("a\nb\n")


def places(root):
    (root / "categories_places365.txt").write_text("/a/a 0\n/b/b 1\n")
    for split, folder, n in (("train_standard", "data_256_standard", 4), ("val", "val_256", 2)):
        lines = []
        for label, (name, shade) in enumerate(SHADES.items()):
            for i in range(n):
                picture(root / folder / name / f"{split}{i}.jpg", shade)
                lines.append(f"/{name}/{split}{i}.jpg {label}")
        (root / f"places365_{split}.txt").write_text("\n".join(lines) + "\n")


def caltech(root):
    base = root / "caltech256/256_ObjectCategories"
    for label, (name, shade) in enumerate(SHADES.items(), 1):
        for i in range(1, 7):
            picture(base / f"{label:03d}.{name}" / f"{label:03d}_{i:04d}.jpg", shade)


def sun(root):
    for name, shade in SHADES.items():
        for i in range(6):
            picture(root / "SUN397" / name[0] / name / "inside" / f"sun_{name}{i}.jpg", shade)
    (root / "SUN397/ClassName.txt").write_text("".join(f"/{name[0]}/{name}/inside\n" for name in SHADES))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("DTD", dtd),
        ("Flowers102", flowers),
        ("OxfordIIITPet", pets),
        ("Food101", food),
        ("STL10", stl),
        ("Places365", places),
        ("Caltech256", caltech),
        ("SUN397", sun),
    ],
)
def test_a_data_set_of_the_paper_or_the_protocol_is_read_by_name(tmp_path, name, write):
    write(tmp_path)
    task = ImageTask.from_torchvision(name, tmp_path)
    assert (task.n_train, task.n_val, len(task.classes)) == (8, 4, 2)
    for split in ("train", "val"):
        shades = task.images(split, 8).mean(axis=(1, 2, 3))
        assert shades == pytest.approx(np.array(list(SHADES.values()))[task.labels(split)], abs=2)
    assert task.location == f"torchvision:{name}"
    assert len(task.sample_hash()) == 64


def test_a_set_without_splits_is_split_alike_whatever_the_order_of_its_files(tmp_path, monkeypatch):
    import torchvision.datasets.sun397 as module

    sun(tmp_path)
    first = ImageTask.from_torchvision("SUN397", tmp_path)
    listed = module.Path.rglob
    monkeypatch.setattr(module.Path, "rglob", lambda self, pattern: reversed(list(listed(self, pattern))))
    again = ImageTask.from_torchvision("SUN397", tmp_path)

    def files(task):
        source = task.sources["val"]
        return [source.source.dataset._image_files[i].name for i in source.indices]

    assert files(first) == files(again)


def test_a_fold_of_stl10_trains_and_the_other_training_images_validate(tmp_path):
    stl(tmp_path)
    (tmp_path / "stl10_binary" / "fold_indices.txt").write_text("0 4 5\n1 6\n")
    task = ImageTask.from_torchvision("STL10/fold0", tmp_path)
    assert (task.name, task.n_train, task.n_val) == ("STL10-fold0", 3, 5)
    assert task.labels("train").tolist() == [0, 1, 1]
    shades = task.images("val", 8).mean(axis=(1, 2, 3))
    assert shades == pytest.approx(np.array(list(SHADES.values()))[task.labels("val")], abs=2)
    for wrong, message in (("STL10/fold7", "2 folds"), ("STL10/first", "NAME/fold0"), ("DTD/fold0", "NAME/fold0")):
        with pytest.raises(TaskError, match=message):
            ImageTask.from_torchvision(wrong, tmp_path)


def test_an_empty_split_is_an_error_of_one_line(tmp_path):
    dtd(tmp_path)
    (tmp_path / "dtd/dtd/labels/val1.txt").write_text("")
    with pytest.raises(TaskError, match="DTD must have images"):
        ImageTask.from_torchvision("DTD", tmp_path)
