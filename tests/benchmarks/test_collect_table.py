"""What the tables of the protocol are measured with."""

from dataclasses import replace

import numpy as np
import pytest
from collect_table import FAMILIES, NEWER, PILOT, PROTOCOL_1, PROTOCOL_2, TABLES, tasks_in_order
from digit_images import write_digits

from hyperstar_tune.finetune import KNOBS, FineTuneSettings
from hyperstar_tune.tables import MetaDataset


def test_protocol_2_has_every_task_once_and_47_families():
    assert len(PROTOCOL_2) == len(set(PROTOCOL_2)) == len(PROTOCOL_1) + len(NEWER) == 54
    assert set(PILOT) <= set(PROTOCOL_1)
    assert len({FAMILIES.get(name, name) for name in PROTOCOL_2}) == 47


@pytest.mark.parametrize(("name", "size"), zip(TABLES, (108, 128, 6, 108, 30), strict=True))
def test_a_table_can_be_trained_as_it_stands(name, size):
    table = TABLES[name]
    settings = FineTuneSettings(weights="own", max_epochs=32, image_size=64, **table.settings)
    assert settings.protocol == (2 if table.settings["schedule"] == "settle" else 1)
    assert set(table.space.parameters) <= set(KNOBS)
    assert len(table.space) == size


def test_a_small_task_stands_whole_where_its_sub_task_would(tmp_path):
    write_digits(tmp_path / "digits")
    whole = tasks_in_order(replace(TABLES["efficientnet-lite0"], tasks=("digits",)), tmp_path)
    assert whole[0].name == "digits"
    assert "digits" not in [task.name for task in whole[1:]]


def test_the_committed_curves_of_another_network_continue_with_the_same_settings():
    from _common import ROOT

    table = MetaDataset.from_collection(ROOT / "metadata" / "efficientnet-lite0-64px.collection")
    asked = TABLES["efficientnet-lite0-64px"]
    assert not table.space.difference(asked.space)
    assert table.fingerprint.schedule.startswith("constant")
    assert np.isfinite(table.scores()[:2]).all()
