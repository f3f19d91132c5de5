import json
import os
import shutil

import numpy as np
import pytest
from digit_images import write_digits
from folder_makers import noise, write_pets
from PIL import Image, ImageDraw

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


def write_balls(folder, colour, n=12):
    """White or black balls and boxes on transparency, of different places and sizes."""
    for name in ("ball", "box"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            image = Image.new("RGBA", (64, 64))
            draw = ImageDraw.Draw(image)
            (draw.ellipse if name == "ball" else draw.rectangle)((2 + 2 * i, 4, 40 + 2 * i, 30 + 2 * i), fill=colour)
            image.save(folder / name / f"{i}.png")
    return folder


def test_images_that_vanish_on_the_background_are_found(tmp_path, hyperstar):
    report = check_folder(write_balls(tmp_path / "white", (255, 255, 255, 255)))
    assert len(report.uniform) == 24
    assert "24 of 24 images are of one uniform colour" in report.wrong[0]
    assert hyperstar("tasks", "check", tmp_path / "white")[0] == 2
    status, out, _ = hyperstar("tasks", "check", write_balls(tmp_path / "black", (0, 0, 0, 255)))
    assert status == 0
    assert "ready for training" in out
    assert "uniform" not in out
    assert ImageTask.from_folder(tmp_path / "black").images("train", 64).std() > 50


def test_copies_of_another_size_or_format_are_found_across_splits(tmp_path):
    pytest.importorskip("imagehash")
    for split, first in (("train", 0), ("val", 100)):
        for label, name in enumerate(("a", "b")):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(20):
                Image.fromarray(noise(label, first + i, side=96)).save(tmp_path / split / name / f"{i}.png")
    assert check_folder(tmp_path).lookalikes == ()
    original = Image.open(tmp_path / "train/a/3.png")
    original.resize((60, 60)).save(tmp_path / "val/a/thumb.png")
    original.save(tmp_path / "val/a/again.jpg", quality=75)
    report = check_folder(tmp_path)
    assert report.lookalikes == (("train/a/3.png", "val/a/again.jpg"), ("train/a/3.png", "val/a/thumb.png"))
    assert (report.wrong, report.duplicates_across) == ((), ())
    for i in range(6):
        Image.open(tmp_path / f"train/b/{i}.png").resize((50, 50)).save(tmp_path / f"val/b/{i}.png")
    assert "8 of 42 held-out images are in training too" in check_folder(tmp_path).wrong[0]


def test_images_under_several_classes_are_wrong_even_inside_one_split(digits_folder, hyperstar):
    for i in range(6):
        shutil.copy(digits_folder / f"train/digit0/{i}.png", digits_folder / f"train/digit1/x{i}.png")
    status, out, _ = hyperstar("tasks", "check", digits_folder)
    assert status == 2
    assert "12 of 66 images equal one of another class" in out


@pytest.mark.parametrize(("low", "high", "wrong"), [(0, 3, True), (100, 108, True), (0, 120, False)])
def test_images_of_few_levels_are_nearly_uniform(tmp_path, low, high, wrong):
    for label in range(2):
        (tmp_path / str(label)).mkdir()
        for i in range(6):
            pixels = np.random.default_rng([label, i]).integers(low, high, (4, 4)).astype(np.uint8)
            Image.fromarray(np.kron(pixels, np.ones((8, 8), np.uint8))).save(tmp_path / str(label) / f"{i}.png")
    report = check_folder(tmp_path)
    assert any("12 of 12 images are of one uniform colour, or nearly so" in why for why in report.wrong) == wrong


def test_a_ranking_shows_the_remarks_on_the_folder(tmp_path, hyperstar, caplog):
    write_pets(tmp_path / "pets", 20)
    (tmp_path / "pets/cats/a.jpg").write_bytes(b"no image")
    (tmp_path / "pets/cats/b.cr2").write_bytes(b"no image")
    shutil.copy(tmp_path / "pets/cats/0.png", tmp_path / "pets/loose.png")
    status, out, _ = hyperstar("rank", tmp_path / "pets", "--json")
    said = json.loads(out)["remarks"]
    assert status == 0
    assert said[0] == "files that cannot be read: 1 .jpg, 1 .cr2"
    assert said[1] == "not used: 1 files straight in pets/"
    assert "12 validation images decide" in said[2]
    assert all(f"pets: {line}" in caplog.messages for line in said[:3])


def test_many_equal_files_across_splits_are_wrong(digits_folder, hyperstar):
    for i in range(3):
        shutil.copy(digits_folder / f"train/digit0/{i}.png", digits_folder / f"val/digit0/copy{i}.png")
    status, out, _ = hyperstar("tasks", "check", digits_folder)
    assert status == 2
    assert "training would go wrong: 3 of 27 held-out images are in training too" in out


def test_a_small_validation_split_is_remarked_on_once(tmp_path, caplog, hyperstar):
    for split, n in (("train", 30), ("val", 8), ("test", 200)):
        write_pets(tmp_path / "pets" / split, n)
    ImageTask.from_folder(tmp_path / "pets")
    ImageTask.from_folder(tmp_path / "pets")
    remarks = [line for line in caplog.messages if "16 validation images decide" in line]
    assert len(remarks) == 1
    assert "from a test folder if there is one" in remarks[0]
    _, out, _ = hyperstar("tasks", "check", tmp_path / "pets")
    assert "remark: 16 validation images decide" in out
    assert "test: 400 readable images of 2 classes" in out
    assert ImageTask.from_folder(write_pets(tmp_path / "many", 170)).remarks() == []


def test_classes_and_counts_are_told_in_one_line(digits_folder):
    task = ImageTask.from_folder(digits_folder)
    assert task.summary() == (
        "digits: 3 classes (digit0 12, digit1 12, digit2 12), 36 training and 24 validation images"
    )
    assert "    digit0 12, digit1 12, digit2 12" in str(check_folder(digits_folder))


def test_splits_that_pose_as_classes_end_the_check_with_status_2(tmp_path, hyperstar):
    for part in ("part1", "part2"):
        write_pets(tmp_path / part)
    status, out, _ = hyperstar("tasks", "check", tmp_path)
    assert status == 2
    assert "training would be refused: classes may not be divided alike" in out
