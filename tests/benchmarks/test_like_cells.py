"""Cells of a GPU have the seconds of like cells that one core trained."""

import pytest
from like_cells import SecondsOfLikeCells

EPOCHS = [1, 2, 4]
SIZES = {"one": (100, 30), "two": (200, 60), "three": (300, 90)}


def cell(layers="all", size=64, batch=16, seconds=(2.0, 1.0, 1.0), **more):
    config = {"layers": layers, "image_size": size, "batch_size": batch}
    return {"config": config, "epochs": EPOCHS, "epoch_seconds": list(seconds), "error": None, **more}


def test_seconds_are_those_of_like_cells_in_proportion_to_the_images():
    like = SecondsOfLikeCells(SIZES, [("one", cell()), ("one", cell(batch=32, seconds=(9.0, 9.0, 9.0)))])
    asked = {"layers": "all", "image_size": 64, "batch_size": 16, "lr": 0.1}
    assert like.of("one", asked, EPOCHS) == [2.0, 1.0, 1.0]
    assert like.of("two", asked, EPOCHS) == [4.0, 2.0, 2.0]
    assert like.of("one", asked | {"batch_size": 8}, EPOCHS) == [5.5, 5.0, 5.0]  # of any batch size
    assert like.of("one", asked | {"image_size": 96}, EPOCHS) == [None] * 3


def test_cells_without_seconds_or_with_an_error_say_nothing():
    strange = [("one", cell(seconds=(None,) * 3)), ("one", cell(seconds=(70.0,) * 3, error="out of memory"))]
    like = SecondsOfLikeCells(SIZES, [*strange, ("one", cell()), ("two", cell(seconds=(4.0, 2.0, 2.0)))])
    assert like.of("three", cell()["config"], EPOCHS) == pytest.approx([6.0, 3.0, 3.0])
    assert SecondsOfLikeCells(SIZES, strange).of("one", cell()["config"], EPOCHS) == [None] * 3
