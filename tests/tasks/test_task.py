import hashlib
import pickle
import struct
import zlib

import numpy as np
import pytest
from digit_images import digit_pixels, write_digits
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks import sources as _images
from hyperstar_tune.tasks.task import ImageTask

RED = (200, 10, 30)


def write_classes(root, n=6, classes=("a", "b"), size=(10, 8)):
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            Image.new("RGB", size, (number * 50, i * 5, 7)).save(root / name / f"{i}.png")
    return root


def array_task(n_classes=10, per_class=40, name="grid"):
    labels = np.repeat(np.arange(n_classes), per_class)
    pixels = np.zeros((len(labels), 4, 4, 3), np.uint8)
    pixels[:, ..., 0], pixels[:, ..., 1] = labels[:, None, None], (np.arange(len(labels)) % 256)[:, None, None]
    return ImageTask.from_arrays(name, pixels, labels, pixels[::4], labels[::4])


def bomb_png(path, side=60_000):
    """A PNG whose header promises 3.6 gigapixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_folder_with_splits_is_read_as_it_lies(digits_folder):
    task = ImageTask.from_folder(digits_folder)
    assert (task.name, task.classes, task.n_train, task.n_val) == ("digits", ("digit0", "digit1", "digit2"), 36, 24)
    assert np.array_equal(np.bincount(task.train_labels), [12, 12, 12])
    images = task.images("val", 16, [0, 23])
    assert images.shape == (2, 3, 16, 16)
    assert images.dtype == np.uint8


@pytest.mark.parametrize("val_name", ["valid", "holdout"])
def test_other_names_of_the_validation_folder(digits_folder, val_name):
    (digits_folder / "val").rename(digits_folder / val_name)
    assert ImageTask.from_folder(digits_folder).n_val == 24


def test_plain_folder_is_split_stratified_and_by_seed(tmp_path):
    write_classes(tmp_path, n=10)
    task = ImageTask.from_folder(tmp_path)
    assert np.array_equal(np.bincount(task.train_labels), [7, 7])
    assert np.array_equal(np.bincount(task.val_labels), [3, 3])
    again, other = ImageTask.from_folder(tmp_path), ImageTask.from_folder(tmp_path, seed=1)
    assert np.array_equal(task.images("val", 8), again.images("val", 8))
    assert not np.array_equal(task.images("val", 8), other.images("val", 8))
    both = {hashlib.sha256(i.tobytes()).digest() for s in ("train", "val") for i in task.images(s, 8)}
    assert len(both) == 20


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", RED, RED),
        ("RGBA", (*RED, 255), RED),
        ("L", 90, (90, 90, 90)),
        ("LA", (90, 255), (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 90 * 257, (90, 90, 90)),
    ],
)
def test_image_modes_become_8_bit_rgb(tmp_path, mode, colour, expected):
    write_classes(tmp_path)
    Image.new(mode, (10, 8), colour).save(tmp_path / "a" / "0.png")
    task = ImageTask.from_folder(tmp_path)
    source = next((s, i) for s in ("train", "val") for i in range(len(task.labels(s)))
                  if task.sources[s].name(i).endswith("a/0.png"))  # fmt: skip
    assert task.images(source[0], 8, [source[1]])[0, :, 4, 4].tolist() == list(expected)


def test_palette_with_transparency_is_read(tmp_path):
    write_classes(tmp_path)
    Image.new("RGB", (8, 8), RED).quantize(4).save(tmp_path / "a" / "0.png", transparency=0)
    assert ImageTask.from_folder(tmp_path).images("train", 8).shape[0] == 8


def test_resizing_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    task = ImageTask.from_arrays("stripes", np.stack([stripes] * 8), [0, 1] * 4)
    assert np.abs(task.images("train", 8).astype(int) - 127).max() <= 12


def test_unreadable_header_is_skipped_and_counted(tmp_path):
    write_classes(tmp_path, n=10)
    (tmp_path / "a" / "3.png").write_bytes(b"no image")
    task = ImageTask.from_folder(tmp_path)
    assert task.n_train + task.n_val == 19
    assert [p.endswith("a/3.png") for p in task.unreadable] == [True]


def test_too_many_unreadable_images_are_refused(tmp_path):
    write_classes(tmp_path, n=10)
    for i in range(4):
        (tmp_path / "a" / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(TaskError, match=r"at most 10% .* 4 of 20 .*a/0\.png"):
        ImageTask.from_folder(tmp_path)
    assert len(ImageTask.from_folder(tmp_path, max_unreadable=0.5).unreadable) == 4


def test_image_cut_short_is_replaced_by_one_of_its_class(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    write_classes(tmp_path, n=20)
    path = tmp_path / "b" / "3.png"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    task = ImageTask.from_folder(tmp_path)
    reds = np.concatenate([task.images(s, 8)[:, 0, 4, 4] for s in ("train", "val")])
    assert np.array_equal(reds, 50 * np.concatenate([task.train_labels, task.val_labels]))
    assert len(task.unreadable) == 1
    task.images("train", 8)
    task.images("val", 8)
    assert len(task.unreadable) == 1


def test_enormous_image_is_skipped_unread(tmp_path):
    write_classes(tmp_path, n=10)
    bomb_png(tmp_path / "a" / "bomb.png")
    task = ImageTask.from_folder(tmp_path)
    assert len(task.unreadable) == 1
    problem = _images.read_header(tmp_path / "a" / "bomb.png")[0]
    assert problem is not None
    assert "pixels" in problem
    with pytest.raises(TaskError, match="bomb"):
        ImageTask.from_folder(tmp_path, max_unreadable=0.0)


def test_image_just_above_the_limit_is_refused(tmp_path, monkeypatch):
    write_classes(tmp_path, size=(20, 20))
    monkeypatch.setattr(_images, "MAX_PIXELS", 399)
    with pytest.raises(TaskError, match=r"class 'a' .* 20 x 20 pixels, more than 399"):
        ImageTask.from_folder(tmp_path)


def test_a_file_above_the_limit_is_refused(tmp_path, monkeypatch):
    write_classes(tmp_path)
    monkeypatch.setattr(_images, "MAX_BYTES", 10)
    with pytest.raises(TaskError, match=r"a file of \d+ bytes, more than 10"):
        ImageTask.from_folder(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(TaskError, match="must exist"):
        ImageTask.from_folder(tmp_path / "nowhere")


def test_folder_without_class(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(TaskError, match="one folder per class"):
        ImageTask.from_folder(tmp_path)


def test_single_class(tmp_path):
    with pytest.raises(TaskError, match="at least 2 classes"):
        ImageTask.from_folder(write_classes(tmp_path, classes=("only",)))


def test_class_without_image_is_named(tmp_path):
    (write_classes(tmp_path) / "empty").mkdir()
    with pytest.raises(TaskError, match="class 'empty'"):
        ImageTask.from_folder(tmp_path)


def test_class_with_one_image_is_named(tmp_path):
    write_classes(tmp_path)
    write_classes(tmp_path, n=1, classes=("lonely",))
    with pytest.raises(TaskError, match=r"at least 2 .*'lonely'.* has 1"):
        ImageTask.from_folder(tmp_path)


def test_class_in_one_split_only_is_named(digits_folder):
    (digits_folder / "val" / "digit1").rename(digits_folder / "val" / "digit9")
    with pytest.raises(TaskError, match="class 'digit1' is only in train/"):
        ImageTask.from_folder(digits_folder)


def test_train_without_validation_folder(digits_folder):
    (digits_folder / "val").rename(digits_folder / "elsewhere")
    with pytest.raises(TaskError, match="also needs one of val"):
        ImageTask.from_folder(digits_folder)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_symlink_out_of_the_folder_is_refused(tmp_path, what):
    outside = write_classes(tmp_path / "outside")
    root = write_classes(tmp_path / "root")
    if what == "file":
        (root / "a" / "link.png").symlink_to(outside / "a" / "0.png")
    else:
        (root / "c").symlink_to(outside / "a")
    with pytest.raises(TaskError, match="symlinks may not leave"):
        ImageTask.from_folder(root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_that_is_a_symlink_out_of_the_folder_is_refused(tmp_path, split):
    outside = write_classes(tmp_path / "outside")
    root = tmp_path / "root"
    for name in {"train", "val"} - {split}:
        write_classes(root / name)
    (root / split).symlink_to(outside)
    with pytest.raises(TaskError, match=f"symlinks may not leave the task folder, but .*{split} does"):
        ImageTask.from_folder(root)


def test_a_named_folder_may_be_a_symlink_and_its_splits_may_lead_to_folders_within(tmp_path):
    root = tmp_path / "root"
    write_classes(root / "train")
    write_classes(root / "kept" / "held-out")
    (root / "val").symlink_to(root / "kept" / "held-out")
    (tmp_path / "link").symlink_to(root)
    task = ImageTask.from_folder(tmp_path / "link")
    assert (task.n_train, task.n_val) == (12, 12)


def test_symlink_within_the_folder_is_followed(tmp_path):
    write_classes(tmp_path)
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "a" / "0.png")
    assert ImageTask.from_folder(tmp_path).unreadable == []


def test_arrays_grey_and_colour_agree():
    pixels, labels = digit_pixels()
    grey = ImageTask.from_arrays("d", pixels, labels)
    colour = ImageTask.from_arrays("d", np.repeat(pixels[..., None], 3, 3), labels)
    assert np.array_equal(grey.images("train", 12), colour.images("train", 12))
    assert grey.n_train + grey.n_val == len(labels)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 8, 8), np.float32), [0, 1, 0, 1], "uint8"),
        (np.zeros((4, 8, 8, 2), np.uint8), [0, 1, 0, 1], r"\[4, 8, 8, 2\]"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0], "4 whole numbers"),
        (np.zeros((4, 8, 8), np.uint8), [0.0, 1.0, 0.0, 1.0], "whole numbers"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, -1], "count from 0, but got -1"),
        (np.zeros((4, 8, 8), np.uint8), [0, 0, 2, 2], "class '1' of bad has 0"),
    ],
)
def test_bad_arrays(images, labels, message):
    with pytest.raises(TaskError, match=message):
        ImageTask.from_arrays("bad", images, labels)


def test_coercion(digits_folder):
    task = ImageTask.from_folder(digits_folder)
    assert ImageTask.of(task) is task
    assert ImageTask.of(str(digits_folder)).n_train == 36
    with pytest.raises(TaskError, match="got int"):
        ImageTask.of(3)
    with pytest.raises(TaskError, match="NoSuchSet"):
        ImageTask.of("torchvision:NoSuchSet")


def test_torchvision_set_that_is_not_there(tmp_path):
    with pytest.raises(TaskError, match=r"CIFAR10 .*download=True"):
        ImageTask.from_torchvision("CIFAR10", tmp_path)


def test_torchvision_set_by_name(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        data = {"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": list(range(10)) * 2}
        (folder / name).write_bytes(pickle.dumps(data))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"c{i}" for i in range(10)]}))
    CIFAR10._check_integrity, original = lambda self: True, CIFAR10._check_integrity
    try:
        import torchvision.datasets.cifar as module

        check, module.check_integrity = module.check_integrity, lambda *_: True
        task = ImageTask.from_torchvision("CIFAR10", tmp_path)
        module.check_integrity = check
    finally:
        CIFAR10._check_integrity = original
    assert (task.n_train, task.n_val, task.classes[3], task.location) == (100, 20, "c3", "torchvision:CIFAR10")
    assert task.images("val", 32, [1]).shape == (1, 3, 32, 32)


def test_batches_are_seeded_and_repeat_only_when_they_must():
    task = array_task(4, 10)
    batches = task.batches(n_batches=2, batch_size=20, image_size=4, seed=3)
    assert batches.shape == (2, 20, 3, 4, 4)
    assert len({b.tobytes() for b in batches.reshape(40, -1)}) == 40
    assert np.array_equal(batches, task.batches(2, 20, 4, seed=3))
    assert not np.array_equal(batches, task.batches(2, 20, 4, seed=4))
    more = task.batches(n_batches=5, batch_size=20, image_size=4).reshape(100, -1)
    _, counts = np.unique(more, axis=0, return_counts=True)
    assert set(counts) == {2, 3}


def test_batches_decode_only_what_they_sample(digits_folder, monkeypatch):
    task = ImageTask.from_folder(digits_folder)
    decoded = []
    square = _images.Files.square
    monkeypatch.setattr(_images.Files, "square", lambda self, i, s: decoded.append(i) or square(self, i, s))
    task.batches(n_batches=1, batch_size=5, image_size=8)
    assert len(decoded) == len(set(decoded)) == 5


def test_halves_are_disjoint_stratified_and_complete():
    task = array_task(7, 36)  # 9 validation images a class: odd
    a, b = task.val_halves()
    assert np.array_equal(np.sort(np.concatenate([a, b])), np.arange(task.n_val))
    counts = [np.bincount(task.val_labels[half], minlength=7) for half in (a, b)]
    assert np.abs(counts[0] - counts[1]).max() == 1
    assert abs(len(a) - len(b)) <= 1
    assert np.array_equal(a, task.val_halves()[0])


@pytest.mark.parametrize(("kind", "low", "high"), [("small", 80, 160), ("large", 200, 320)])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 60])
def test_sub_tasks_have_their_size_and_classes(kind, low, high, n_classes):
    parent = array_task(n_classes, max(8, 400 // n_classes))
    sub = parent.sub_task(kind)
    assert low <= sub.n_train <= high
    assert 2 <= len(sub.classes) <= n_classes
    assert set(sub.classes) <= set(parent.classes)
    assert (sub.name, sub.family) == (f"grid@{kind}", "grid")
    reds = sub.images("train", 4)[:, 0, 0, 0]  # the array's red channel is the parent's label
    assert [parent.classes[r] for r in reds] == [sub.classes[y] for y in sub.train_labels]
    assert sub.n_val == np.isin(parent.val_labels, [int(c) for c in sub.classes]).sum()


def test_a_hundred_images_are_of_all_classes():
    parent = array_task(30, 20)
    sub = parent.sub_task("100")
    assert (sub.name, sub.classes, sub.n_val) == ("grid@100", parent.classes, parent.n_val)
    assert np.bincount(sub.train_labels).tolist() == [3] * 30
    assert sub.sample_hashes() == [sub.sample_hash(), parent.sample_hash()]


def test_sub_tasks_are_seeded():
    parent = array_task(10, 40)
    same, other = parent.sub_task("small"), parent.sub_task("small", seed=1)
    assert same.sample_hash() == parent.sub_task("small").sample_hash()
    assert same.sample_hash() != other.sample_hash()


def test_two_classes_stay_two():
    assert array_task(2, 200).sub_task("small", seed=5).classes == ("0", "1")


def test_sub_task_of_a_task_that_is_too_small():
    with pytest.raises(TaskError, match="needs 200 training images, but grid has 120"):
        array_task(3, 40).sub_task("large")
    with pytest.raises(TaskError, match="small, large"):
        array_task(3, 40).sub_task("medium")


def test_hash_follows_the_images_not_the_place(tmp_path):
    first, second = (write_digits(tmp_path / n) for n in ("one", "two"))
    assert ImageTask.from_folder(first).sample_hash() == ImageTask.from_folder(second).sample_hash()
    Image.new("RGB", (8, 8), RED).save(second / "train" / "digit0" / "0.png")
    assert ImageTask.from_folder(first).sample_hash() != ImageTask.from_folder(second).sample_hash()


@pytest.mark.parametrize(("train", "val"), [("Train", "Valid"), ("training", "validation"), ("TRAIN", "Val")])
def test_splits_by_other_names_and_in_capitals(tmp_path, train, val):
    for split in (train, val):
        write_classes(tmp_path / split)
    task = ImageTask.from_folder(tmp_path)
    assert (task.classes, task.n_train, task.n_val) == (("a", "b"), 12, 12)


def test_a_class_may_be_called_train_but_splits_need_classes(tmp_path):
    task = ImageTask.from_folder(write_classes(tmp_path / "vehicles", classes=("bus", "train")))
    assert task.classes == ("bus", "train")
    with pytest.raises(TaskError, match="train and val need one folder per class"):
        ImageTask.from_folder(write_classes(tmp_path / "flat", classes=("train", "val")))


def test_a_symlink_loop_is_an_error_in_one_line(tmp_path):
    write_classes(tmp_path)
    (tmp_path / "a" / "loop.png").symlink_to(tmp_path / "a" / "loop.png")
    with pytest.raises(TaskError, match="loop"):
        ImageTask.from_folder(tmp_path)
