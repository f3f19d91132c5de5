"""Mean scores by value of a parameter."""

import pytest

from hyperstar_tune.effects import effects_text, parameter_effects


def test_means_are_of_the_configurations_that_have_a_value():
    configs = [{"lr": 0.1, "nesterov": True}, {"lr": 0.1}, {"lr": 0.2, "nesterov": False}, {"lr": 0.2, "kind": "a"}]
    effects = parameter_effects(configs, [1.0, 3.0, 0.0, -1.0])
    assert list(effects) == ["lr", "nesterov"]  # the larger difference first; "kind" has one value
    assert effects == {"lr": [("0.1", 2.0), ("0.2", -0.5)], "nesterov": [("True", 1.0), ("False", 0.0)]}
    assert effects_text(effects)[0] == "lr        0.1 +2.00, 0.2 -0.50"


def test_many_numbers_are_cut_into_thirds():
    values = [10.0**-exponent for exponent in range(30)]
    (means,) = parameter_effects([{"lr": value} for value in values], range(30)).values()
    assert [mean for _, mean in means] == pytest.approx([24.5, 14.5, 4.5])
    assert means[0][0].startswith("1e-29 to ")


def test_without_a_parameter_that_varies_there_is_no_effect():
    assert parameter_effects([{"lr": 0.1}, {"lr": 0.1}], [1, 2]) == {}
    assert parameter_effects([], []) == {}
    assert effects_text({}) == []
