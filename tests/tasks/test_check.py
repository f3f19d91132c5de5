import os
import shutil

import pytest
from digit_images import write_digits

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks.check import PUBLISHED_SIZES, check_folder
from hyperstar_tune.tasks.task import ImageTask


def test_a_sound_folder_is_ready(digits_folder):
    report = check_folder(digits_folder)
    assert report.refused is None
    assert report.counts == {
        "train": {f"digit{i}": 12 for i in range(3)},
        "val": {f"digit{i}": 8 for i in range(3)},
    }
    assert report.unreadable == report.duplicates_within == report.duplicates_across == ()
    assert report.imbalance == 1
    assert str(report).endswith("ready for training")


def test_duplicates_are_told_apart_by_where_they_are(digits_folder):
    shutil.copy(digits_folder / "train/digit0/0.png", digits_folder / "train/digit0/copy.png")
    shutil.copy(digits_folder / "train/digit1/1.png", digits_folder / "val/digit1/copy.png")
    shutil.copy(digits_folder / "val/digit2/2.png", digits_folder / "val/digit0/copy.png")
    report = check_folder(digits_folder)
    assert report.duplicates_within == (
        ("train/digit0/0.png", "train/digit0/copy.png"),
        ("val/digit0/copy.png", "val/digit2/2.png"),
    )
    assert report.duplicates_across == (("train/digit1/1.png", "val/digit1/copy.png"),)
    assert report.duplicates_between_classes == (("val/digit0/copy.png", "val/digit2/2.png"),)
    assert report.imbalance == pytest.approx(13 / 12)
    assert report.refused is None


def test_a_file_cut_short_is_found_though_its_header_is_sound(digits_folder):
    path = digits_folder / "train/digit0/0.png"
    path.write_bytes(path.read_bytes()[:-30])
    report = check_folder(digits_folder)
    assert report.unreadable == ("train/digit0/0.png",)
    assert report.counts["train"]["digit0"] == 11
    assert report.refused is None
    for number in range(1, 8):
        (digits_folder / f"train/digit1/{number}.png").write_bytes(path.read_bytes())
    assert "at most 10%" in check_folder(digits_folder).refused


def test_what_training_refuses_is_refused_with_its_words(digits_folder):
    for path in (digits_folder / "val/digit2").iterdir():
        path.write_bytes(b"no image")
    report = check_folder(digits_folder)
    with pytest.raises(TaskError) as refusal:
        ImageTask.from_folder(digits_folder)
    assert report.refused == str(refusal.value)
    assert report.counts["val"]["digit2"] == 0


def test_a_class_that_cannot_be_decoded_is_refused(digits_folder):
    for path in (digits_folder / "val/digit2").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    assert "'digit2' has none in val" in check_folder(digits_folder).refused


def test_a_plain_folder_is_split_as_training_would(tmp_path):
    write_digits(tmp_path / "digits")
    task = ImageTask.from_folder(tmp_path / "digits/train")
    held_out = task.sources["val"].paths[0]
    shutil.copy(held_out, held_out.with_name("zz.png"))
    (held_out.parent / "0.png").write_bytes(b"no image")
    report = check_folder(tmp_path / "digits/train")
    again = ImageTask.from_folder(tmp_path / "digits/train")
    assert list(report.counts) == ["train", "val"]
    assert report.unreadable == (f"{held_out.parent.name}/0.png",)
    assert report.refused is None
    assert sum(report.counts["train"].values()) == again.n_train
    assert sum(report.counts["val"].values()) == again.n_val
    assert len(report.duplicates_within) + len(report.duplicates_across) == 1


def test_a_symlink_out_of_the_folder_is_refused_and_not_followed(digits_folder, tmp_path):
    (tmp_path / "outside.png").write_bytes(b"secret")
    os.symlink(tmp_path / "outside.png", digits_folder / "train/digit0/link.png")
    report = check_folder(digits_folder)
    assert "symlinks may not leave" in report.refused
    assert report.unreadable == ()


def test_published_sizes_are_compared(digits_folder, monkeypatch):
    monkeypatch.setitem(PUBLISHED_SIZES, "three-digits", (3, 36, 30))
    assert check_folder(digits_folder, "three-digits").unexpected == ("24 validation images, but three-digits has 30",)
    with pytest.raises(TaskError, match="'imagenet'"):
        check_folder(digits_folder, "imagenet")
    with pytest.raises(TaskError, match="nowhere"):
        check_folder(digits_folder / "nowhere")


def test_links_that_lead_nowhere_are_not_looked_at(digits_folder):
    before = check_folder(digits_folder)
    folder = digits_folder / "train" / "digit0"
    (folder / "broken.png").symlink_to(folder / "gone.png")
    assert check_folder(digits_folder).counts == before.counts
