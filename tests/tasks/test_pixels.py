"""One image of any mode, depth, transparency and orientation becomes what a person sees."""

import io
import warnings

import numpy as np
import pytest
from folder_makers import noise, png16, tiff16, write_pets
from PIL import Image, TiffImagePlugin

from hyperstar_tune.tasks import ImageTask, check_folder
from hyperstar_tune.tasks.pixels import observed_range, to_rgb, upright_square
from hyperstar_tune.tasks.sources import read_square

SHAPE = np.zeros((24, 24), bool)
SHAPE[4:12, 6:20] = True  # no symmetry
STORED = {  # how a camera that writes an orientation lays the pixels down
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda a: np.rot90(np.transpose(a), 2),
    8: lambda a: np.rot90(a, -1),
}
ENCODINGS = (
    *(("jpeg", "L"), ("jpeg", "RGB"), ("jpeg", "CMYK"), ("mpo", "RGB"), ("png", "L"), ("png", "P"), ("png", "LA")),
    *(("png", "RGBA"), ("png", "I;16"), ("webp", "RGB"), ("webp", "RGBA"), ("avif", "RGB"), ("avif", "RGBA")),
    *(("tiff", "L"), ("tiff", "RGBA"), ("tiff", "LA"), ("tiff", "I;16"), ("tiff", "F"), ("tiff", "CMYK")),
)


def cut_out(mode):
    """A grey shape on transparency, whose hidden pixels are black."""
    rgba = np.zeros((24, 24, 4), np.uint8)
    rgba[SHAPE] = (90, 90, 90, 255)
    image = Image.fromarray(rgba)
    if mode == "P":
        indexed = Image.fromarray(SHAPE.astype(np.uint8)).convert("P")
        indexed.putpalette([0, 0, 0, 90, 90, 90])
        indexed.info["transparency"] = 0
        return indexed
    if mode in ("L", "RGB"):  # one colour counts as transparent
        opaque = image.convert(mode)
        opaque.info["transparency"] = 0 if mode == "L" else (0, 0, 0)
        return opaque
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("RGBA", "png"), ("LA", "png"), ("P", "png"), ("L", "png"), ("RGB", "png"), ("P", "gif")),
        *(("RGBA", "webp"), ("RGBA", "tiff"), ("LA", "tiff"), ("RGBA", "ico"), ("RGBA", "avif"), ("RGBA", "tga")),
    ],
)
def test_transparent_pixels_show_white(tmp_path, mode, kind):
    image = cut_out(mode)
    options = (
        {"lossless": True} if kind == "webp" else {"quality": 100, "subsampling": "4:4:4"} if kind == "avif" else {}
    )
    if "transparency" in image.info:
        options["transparency"] = image.info["transparency"]
    if kind == "ico":
        options["sizes"] = [(24, 24)]
    image.save(tmp_path / "image", kind, **options)
    seen = read_square(tmp_path / "image", 24).astype(int)
    assert np.abs(seen - np.where(SHAPE, 90, 255)).max() <= (3 if kind == "avif" else 0)


@pytest.mark.parametrize("mode", ["PA", "RGBa"])
def test_other_modes_with_transparency_show_white(mode):
    image = cut_out("P" if mode == "PA" else "RGBA").convert(mode)
    assert np.array_equal(np.asarray(to_rgb(image))[..., 0], np.where(SHAPE, 90, 255))


def test_half_transparent_pixels_are_mixed_with_white():
    assert to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_opaque_alpha_changes_nothing():
    pixels = noise(1)
    image = Image.fromarray(pixels)
    image.putalpha(255)
    assert np.array_equal(np.asarray(to_rgb(image)), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "mpo"])
def test_images_lie_as_a_viewer_shows_them(tmp_path, kind, orientation):
    shown = np.where(SHAPE, 220, 30).astype(np.uint8)
    stored = STORED[orientation](shown)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").resize((96, 96), 0).save(
        tmp_path / "image", kind, exif=exif
    )
    seen = read_square(tmp_path / "image", 24)[0].astype(int)
    assert np.abs(seen - shown).mean() < 6


def test_damaged_exif_data_lose_no_image(tmp_path):
    Image.fromarray(noise(2)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_square(tmp_path / "a.jpg", 8).shape == (3, 8, 8)


DEEP = {
    "12 bits in a 16-bit PNG": ("png", np.uint16, 0, 4095),
    "14 bits in a 16-bit TIFF": ("tiff", np.uint16, 0, 16383),
    "16 bits": ("png", np.uint16, 0, 65535),
    "16 bits, big-endian": ("tiff-be", np.uint16, 0, 65535),
    "hundredths of a kelvin": ("tiff", np.uint16, 27_000, 31_000),
    "32-bit integers": ("tiff", np.int32, -500, 1500),
    "kelvin": ("tiff", np.float32, 270, 310),
    "reflectance": ("tiff", np.float32, 0, 1.02),
    "shares": ("tiff", np.float32, 0, 1),
}


def encoded(values, kind):
    buffer = io.BytesIO()
    if kind == "tiff-be":
        Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes()).save(buffer, "tiff")
    else:
        Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def varied(shown, chance):
    """A picture, uint8 [24, 24], in some container, mode and orientation; where it is white, it may be transparent."""
    kind, mode = ENCODINGS[chance.integers(len(ENCODINGS))]
    orientation = int(chance.integers(1, 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.kron(STORED[orientation](shown), np.ones((4, 4))).astype(np.uint8)
    if mode in ("LA", "RGBA"):
        image = Image.fromarray(np.where(pixels == 255, 0, pixels).astype(np.uint8)).convert(mode)
        image.putalpha(Image.fromarray(np.where(pixels == 255, 0, 255).astype(np.uint8)))
    elif mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 16)  # 12 bits
    elif mode == "F":
        image = Image.fromarray(pixels.astype(np.float32) * 16)
    else:
        image = Image.fromarray(pixels).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **({"quality": 95} if kind in ("jpeg", "mpo", "webp", "avif") else {}))
    return buffer.getvalue()


def test_known_pictures_are_recognized_in_every_container_depth_mode_and_orientation(tmp_path):
    chance = np.random.default_rng(0)
    pictures = [np.where(np.roll(SHAPE, 3 * k, axis=0), 255, 20 + 50 * k).astype(np.uint8) for k in range(4)]
    for split, n in (("train", 60), ("val", 20)):
        for label, picture in enumerate(pictures):
            (tmp_path / split / f"c{label}").mkdir(parents=True)
            for i in range(n):
                (tmp_path / split / f"c{label}" / f"{i}.image").write_bytes(varied(picture, chance))
    task = ImageTask.from_folder(tmp_path)
    for split in ("train", "val"):
        seen = task.images(split, 24)[:, 0].astype(int)
        distance = np.stack([np.abs(seen - picture).mean((1, 2)) for picture in pictures], axis=1)
        assert np.array_equal(distance.argmin(axis=1), task.labels(split))
        assert distance.min(axis=1).max() < 12


@pytest.mark.parametrize("what", DEEP)
def test_deep_images_share_one_scale_and_keep_their_meaning(tmp_path, what):
    kind, dtype, low, high = DEEP[what]
    share = {"dark": 0.25, "bright": 0.75}
    for name, middle in share.items():
        for split, n in (("train", 6), ("val", 4)):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(n):
                values = low + (high - low) * np.clip(middle + (noise(i, n)[..., 0] / 255 - 0.47), 0, 1)
                (tmp_path / split / name / f"{i}.img").write_bytes(encoded(values.astype(dtype), kind))
    task = ImageTask.from_folder(tmp_path)
    black, white = task.value_range
    assert black == pytest.approx(low, abs=0.15 * (high - low))
    assert white == pytest.approx(high, abs=0.15 * (high - low))
    for split in ("train", "val"):
        images = task.images(split, 24)
        assert len(np.unique(images)) > 60
        means = [images[task.labels(split) == label].mean() / 255 for label in (0, 1)]  # bright, dark
        assert means == pytest.approx([0.75, 0.25], abs=0.12)
    new = read_square(tmp_path / "val/dark/0.img", 24, task.value_range)
    assert np.array_equal(new, task.images("val", 24, [4])[0])
    report = check_folder(tmp_path)
    assert f"scaled from {black:g} (black) to {white:g} (white)" in str(report)
    assert report.refused is None


@pytest.mark.parametrize("encode", [png16, tiff16, lambda values: tiff16(values, ">")])
def test_colour_of_16_bits_keeps_its_lower_bytes(encode):
    values = np.random.default_rng(0).integers(0, 4096, (9, 7, 3)).astype(np.uint16)
    image = Image.open(io.BytesIO(encode(values)))
    expected = np.rint(values / 4095 * 255).astype(np.uint8)
    assert np.array_equal(np.asarray(to_rgb(image, (0, 4095))), expected)


def test_transparent_colour_of_16_bits_shows_white():
    values = np.zeros((24, 24, 4), np.uint16)
    values[SHAPE] = (2000, 2000, 2000, 65535)
    seen = np.asarray(to_rgb(Image.open(io.BytesIO(png16(values))), (0, 4000)))
    assert np.array_equal(seen[..., 1], np.where(SHAPE, 128, 255))


def test_hidden_values_below_transparent_pixels_are_not_on_the_scale(tmp_path):
    values = np.zeros((24, 24, 4), np.uint16)
    values[SHAPE] = (1400, 1400, 1400, 65535)
    (tmp_path / "a.png").write_bytes(png16(values))
    seen = read_square(tmp_path / "a.png", 24)[0]
    assert (seen[SHAPE] < 120).all()
    assert (seen[~SHAPE] == 255).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_whose_low_values_are_light_are_light_there(tmp_path, dtype):
    shown = np.where(SHAPE, 200, 30).astype(dtype)
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 0}[dtype]
    stored = shown if dtype is np.uint8 else (top - shown * (257 if dtype is np.uint16 else 1)).astype(dtype)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo=tags)  # Pillow itself inverts images of 8 bits
    seen = read_square(tmp_path / "a.tif", 24)[0]
    assert seen[SHAPE].min() > seen[~SHAPE].max()


def test_values_that_were_not_measured_do_not_stretch_the_scale(tmp_path):
    for split in ("train", "val"):
        for label in range(2):
            (tmp_path / split / str(label)).mkdir(parents=True)
            for i in range(3):
                values = (270 + 40 * noise(i, label)[..., 0] / 255).astype(np.float32)
                values[:4], values[4, 4], values[5, 5] = -9999, np.nan, np.float32(-3.4e38)
                Image.fromarray(values).save(tmp_path / split / str(label) / f"{i}.tif", tiffinfo={42113: "-9999"})
    task = ImageTask.from_folder(tmp_path)
    assert 270 <= task.value_range[0] < task.value_range[1] <= 310
    assert task.images("val", 24)[:, :, :4].max() == 0  # black where nothing was measured


def test_images_of_8_bits_are_taken_as_they_are_beside_deep_ones(tmp_path):
    write_pets(tmp_path, 10)
    Image.fromarray(np.full((24, 24), 3000, np.uint16)).save(tmp_path / "cats" / "deep.png")
    task = ImageTask.from_folder(tmp_path)
    for split in ("train", "val"):
        for i, path in enumerate(task.sources[split].paths):
            if path.name != "deep.png":
                assert np.array_equal(task.images(split, 24, [i])[0], np.asarray(Image.open(path)).transpose(2, 0, 1))


def test_a_task_of_8_bits_has_no_range(digits_folder):
    task = ImageTask.from_folder(digits_folder)
    assert task.value_range is None
    assert ImageTask.from_arrays("a", np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]).value_range is None


def test_ranges_of_few_and_constant_values():
    assert observed_range([np.full((4, 4), 23130.0)]) == (0, 65535)
    assert observed_range([np.full((4, 4), np.nan)]) == (0, 1)
    assert observed_range([np.full((4, 4), -7.0)]) == (-8, -6)


def test_large_jpegs_are_decoded_smaller_but_all_the_same(tmp_path):
    Image.fromarray(noise(3, side=1200)).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = upright_square(image.convert("RGB"), 24).astype(int)
    assert np.abs(read_square(tmp_path / "a.jpg", 24) - whole).mean() < 2
