"""Methods by name, under the names of today and of older results."""

import pandas as pd
import pytest

from hyperstar_tune.comparison import METHODS, USES, Budgets, make_method, sweep
from hyperstar_tune.comparison.methods import OLD_NAMES, current_names, looks
from hyperstar_tune.errors import SearchError
from hyperstar_tune.rivals.registry import ranker_names


def test_results_under_old_names_are_read_under_todays():
    old = {"hyperband_reversed": {"rival": "bm+hyperband_reversed", "values": [1, None]}, "least_aggressive_first": 2}
    assert current_names(old) == {
        "hyperband_longest_first": {"rival": "bm+hyperband_longest_first", "values": [1, None]},
        "longest_first": 2,
    }
    known = {*METHODS, *USES}
    assert not known & set(OLD_NAMES)
    with pytest.raises(SearchError, match="hyperband_reversed"):
        make_method("hyperband_reversed")


def test_a_sweep_goes_on_from_a_file_with_old_names(table, tmp_path):
    out, budgets = tmp_path / "sweep.parquet", [Budgets(3, (1,))]
    made = sweep(["hyperband_longest_first"], table, budgets=budgets, seeds=2, out=out)
    made.assign(method="hyperband_reversed").to_parquet(out, index=False)
    steps = []
    again = sweep(["hyperband_longest_first"], table, budgets=budgets, seeds=2, out=out, progress=steps.append)
    assert not steps
    pd.testing.assert_frame_equal(again, made)


def test_every_method_has_a_label_and_a_color_and_a_ranking_the_same_color_in_all_uses():
    shown = looks([*METHODS, *(f"{ranker}+{use}" for ranker in ranker_names() for use in USES)])
    assert all(look["label"] and look["color"] and "{" not in look["label"] for look in shown.values())
    assert shown["hyperstar_plus+hyperband_longest_first"]["label"] == (
        "HyperSTAR+, then Hyperband, longest training first"
    )
    for ranker in ranker_names():
        assert len({shown[f"{ranker}+{use}"]["color"] for use in USES}) == 1
    assert looks(["mine+alone"])["mine+alone"]["label"].startswith("mine alone")
