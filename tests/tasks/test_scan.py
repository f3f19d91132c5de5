"""Which files of a folder are images, and how often they are looked at."""

import io
import logging
import shutil

import numpy as np
import pytest
from folder_makers import noise, write_pets
from PIL import Image

from hyperstar_tune.errors import TaskError
from hyperstar_tune.tasks import ImageTask, check_folder, scan, sources


def rename_all(folder, suffix):
    for path in list(folder.glob("*/*.*")):
        path.rename(path.with_suffix(suffix))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "avif", "tiff", "bmp", "mpo", "jpeg2000", "ppm", "tga"])
@pytest.mark.parametrize("suffix", [".jfif", ".HEIC", "", ".data", ".jpg"])
def test_an_image_is_known_by_its_content(tmp_path, kind, suffix):
    write_pets(tmp_path, 4)
    for path in list(tmp_path.glob("*/*.png")):
        image = Image.open(path)
        image.load()
        path.unlink()
        image.save(path.with_suffix(suffix), kind)
    task = ImageTask.from_folder(tmp_path)
    assert (task.n_train, task.n_val, task.unreadable) == (6, 2, [])
    reds = [task.images("train", 8)[task.train_labels == label][:, 0].mean() for label in (0, 1)]
    assert reds[0] > 150 > 100 > reds[1]  # cats are red, dogs blue


@pytest.mark.parametrize("suffix", [".heic", ".HIF", ""])
def test_photographs_of_phones_are_read_where_pillow_heif_is_installed(tmp_path, suffix):
    pillow_heif = pytest.importorskip("pillow_heif")
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(4):
            pillow_heif.from_pillow(Image.fromarray(noise(i, side=96))).save(tmp_path / label / f"{i}", format="HEIF")
            (tmp_path / label / f"{i}").rename(tmp_path / label / f"{i}{suffix}")
    task = ImageTask.from_folder(tmp_path)
    assert task.n_train + task.n_val == 8
    assert task.images("train", 16).std() > 10


def test_images_that_no_reader_knows_are_refused_with_their_endings_and_the_remedy(tmp_path):
    write_pets(tmp_path, 20)
    for i in range(8):
        (tmp_path / "cats" / f"{i}.png").rename(tmp_path / "cats" / f"{i}.HEIC")
        (tmp_path / "cats" / f"{i}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    (tmp_path / "dogs" / "clip.mp4").write_bytes(b"no image")
    with pytest.raises(TaskError, match=r"9 of 41 of .* are \(8 .heic, 1 .mp4\), the first .*0.HEIC: .*pillow-heif"):
        ImageTask.from_folder(tmp_path)
    report = check_folder(tmp_path)
    assert report.left_out == {".heic": 8, ".mp4": 1}
    assert "files left out, as they are no images or cannot be read: 8 .heic, 1 .mp4" in str(report)
    assert "pillow-heif" in report.refused


def test_few_files_that_are_no_images_are_counted_and_notes_are_no_images(tmp_path):
    write_pets(tmp_path, 20)
    for i in range(20):
        (tmp_path / "cats" / f"{i}.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "dogs" / "model.bin").write_bytes(bytes(100))
    assert [p.endswith("model.bin") for p in ImageTask.from_folder(tmp_path).unreadable] == [True]
    report = check_folder(tmp_path)
    assert (report.left_out, report.unreadable, report.refused) == ({".bin": 1}, (), None)


def test_what_machines_leave_behind_is_skipped_at_any_depth(tmp_path):
    write_pets(tmp_path, 10)
    expected = ImageTask.from_folder(tmp_path)
    machines = (
        *(".ipynb_checkpoints", "@eaDir", "@eaDir/0.png", "__MACOSX", ".thumbnails", "lost+found", ".git/deep/er"),
        *("$RECYCLE.BIN", "#recycle", ".AppleDouble"),
    )
    for place in (tmp_path, tmp_path / "cats", tmp_path / "cats" / "inner"):
        for folder in machines:
            shutil.copytree(tmp_path / "dogs", place / folder / "dogs", ignore=lambda _, names: set(names) - {"0.png"})
    for name in ("Thumbs.db", "._0.png", ".hidden.png", "desktop.ini", ".DS_Store"):
        shutil.copy(tmp_path / "dogs/0.png", tmp_path / "cats" / name)
    task = ImageTask.from_folder(tmp_path)
    assert (task.classes, task.n_train, task.n_val) == (("cats", "dogs"), 14, 6)
    assert task.sources["val"].paths == expected.sources["val"].paths
    assert check_folder(tmp_path).duplicates_across == ()


def count_headers(monkeypatch):
    read = []
    real = sources.read_header
    monkeypatch.setattr(scan, "read_header", lambda path: read.append(path.name) or real(path))
    return read


def test_a_header_is_read_once_per_process_unless_the_file_changes(tmp_path, monkeypatch):
    write_pets(tmp_path, 10)
    read = count_headers(monkeypatch)
    ImageTask.from_folder(tmp_path)
    assert len(read) == 20
    ImageTask.of(str(tmp_path))
    check_folder(tmp_path)
    assert len(read) == 20
    (tmp_path / "cats/3.png").write_bytes(b"no image")
    (tmp_path / "cats/new.png").write_bytes((tmp_path / "cats/4.png").read_bytes())
    assert len(ImageTask.from_folder(tmp_path).unreadable) == 1
    assert sorted(read[20:]) == ["3.png", "new.png"]


def test_of_a_large_folder_a_sample_of_headers_is_read(tmp_path, monkeypatch):
    write_pets(tmp_path, 2)
    content = (tmp_path / "cats/0.png").read_bytes()
    for name in ("cats", "dogs"):
        for i in range(2500):
            (tmp_path / name / f"{i:05}.png").write_bytes(content)
    read = count_headers(monkeypatch)
    assert ImageTask.from_folder(tmp_path).n_train == 2 * 1751
    assert len(read) < 1100
    broken = read[0]
    (tmp_path / "cats" / broken).write_bytes(b"no image")
    assert len(ImageTask.from_folder(tmp_path).unreadable) == 1
    assert len(read) > 5000  # one in the sample is damaged: all are read


def test_long_work_tells_how_far_it_is(tmp_path, monkeypatch, caplog):
    write_pets(tmp_path, 20)
    monkeypatch.setattr(sources, "_TELL_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO, logger="hyperstar_tune"):
        ImageTask.from_folder(tmp_path)
    assert any(f"reading headers of {tmp_path.name}: 10 of 40" in line for line in caplog.messages)


def test_a_linked_folder_inside_a_class_is_counted_and_not_followed(tmp_path):
    write_pets(tmp_path, 20)
    (tmp_path / "cats" / "more").symlink_to(tmp_path / "dogs")
    task = ImageTask.from_folder(tmp_path)
    assert (task.n_train + task.n_val, len(task.unreadable)) == (40, 1)


def test_files_that_pillow_only_knows_by_name_are_no_images(tmp_path):
    write_pets(tmp_path, 20)
    (tmp_path / "cats" / "a.hdf").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "cats" / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert check_folder(tmp_path).left_out == {".hdf": 1, ".eps": 1}


def test_the_first_picture_of_an_animation_counts(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (10, 200)]
    for kind in ("gif", "png", "webp", "tiff"):
        buffer = io.BytesIO()
        options = {"lossless": True} if kind == "webp" else {}
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], **options)
        (tmp_path / kind).write_bytes(buffer.getvalue())
        assert sources.read_square(tmp_path / kind, 8).max() == 10
