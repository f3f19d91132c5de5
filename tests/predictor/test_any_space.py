"""The arithmetic of scores for any configuration."""

import numpy as np
import pytest

from hyperstar_tune.predictor.any_space import Measured, basis_of, cross_error, fast_scores, fit_any_space, kernel_for
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.predictor.plus import fit_plus
from hyperstar_tune.predictor.weighted_kernel import Kernel
from hyperstar_tune.space import SearchSpace

SPACE = SearchSpace.from_values(
    {"lr": [1e-4, 1e-3, 1e-2, 1e-1], "layers": ["head", "last", "all"], "augmentation": ["none", "basic", "strong"]}
)
ENCODING = SharedEncoding([SPACE], {})
GRID = SPACE.grid()
ALL = np.ones(len(GRID), dtype=bool)


def truth(configs, trait=0.0):
    """A best rate that depends on the layers, and an effect of augmentation that depends on the trait."""
    best = {"head": -1.5, "last": -2.5, "all": -3.2}
    strength = {"none": -1.0, "basic": 0.3, "strong": 0.7}
    return np.array(
        [-((np.log10(c["lr"]) - best[c["layers"]]) ** 2) + trait * strength[c["augmentation"]] for c in configs]
    )


def measured(n_tasks=12, noise=0.0, configs=GRID, seed=0):
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n_tasks, 2))
    targets = np.stack([truth(configs, z[0]) for z in traits]) + noise * rng.normal(size=(n_tasks, len(configs)))
    families = tuple(f"family{i}" for i in range(n_tasks))
    return Measured(targets, traits, families, ENCODING.encode(configs), ENCODING.widths)


def predicted(tables, traits, configs):
    kernel = kernel_for(tables, 0.1)
    model = fit_any_space(tables, 0.1, kernel)
    known = np.concatenate([table.encoded for table in tables])
    return basis_of(kernel, ENCODING.encode(configs), known) @ model.scores(np.asarray(traits))


def correlation(scores, configs, trait=0.0):
    return float(np.corrcoef(scores, truth(configs, trait))[0, 1])


def test_measured_configurations_are_scored_as_hyperstar_plus_scores_them():
    table = measured(noise=1.0)
    plus = fit_plus(table.targets, table.traits, list(table.families), 5.0)
    kernel = kernel_for([table], 5.0)
    model = fit_any_space([table], 5.0, kernel)
    traits = np.array([0.7, -0.2])
    mine = basis_of(kernel, table.encoded, table.encoded) @ model.scores(traits)
    np.testing.assert_allclose(mine, plus.scores(traits), atol=0.02)
    np.testing.assert_allclose(model.known, plus.known)
    assert model.reach == pytest.approx(plus.reach)


@pytest.mark.parametrize("trait", [-1.5, 0.0, 1.5])
def test_it_carries_over_to_configurations_that_were_not_measured(trait):
    new = np.random.default_rng(0).permutation(len(GRID)) % 3 == 0
    table = measured().part(np.ones(12, dtype=bool), ~new)
    left_out = [config for config, is_new in zip(GRID, new, strict=True) if is_new]
    assert correlation(predicted([table], [trait, 0.0], left_out), left_out, trait) > 0.9
    between = [{**config, "lr": 3e-3} for config in GRID if config["lr"] == 1e-3]
    assert correlation(predicted([table], [trait, 0.0], between), between, trait) > 0.8


def test_another_table_fills_in_what_the_first_one_does_not_have():
    heads = [config for config in GRID if config["layers"] != "all"]
    alls = [config for config in GRID if config["layers"] == "all"]
    first = measured(configs=heads)
    alone = correlation(predicted([first], [0.0, 0.0], alls), alls)
    together = correlation(predicted([first, measured(seed=1)], [0.0, 0.0], alls), alls)
    assert together > max(0.9, alone)
    mine = predicted([first, measured(seed=1)], [0.0, 0.0], heads)
    np.testing.assert_allclose(mine, truth(heads), atol=0.15)  # and its level is the first one's


def test_two_tables_that_disagree_are_each_true_to_the_first():
    worse = measured(seed=1)
    other = Measured(-worse.targets, worse.traits, worse.families, worse.encoded, worse.widths)
    assert correlation(predicted([measured(), other], [0.0, 0.0], GRID), GRID) > 0.95


def test_fast_scores_are_the_same_scores():
    table = measured(noise=0.5)
    kernel = kernel_for([table], 1.0)
    weights = fit_any_space([table], 1.0, kernel).scores(np.array([0.3, 0.4]))
    encoded = np.random.default_rng(0).uniform(-1, 1, (200, ENCODING.dim))
    fast = fast_scores(kernel, weights, encoded.astype(np.float32), table.encoded)
    np.testing.assert_allclose(fast, basis_of(kernel, encoded, table.encoded) @ weights, atol=1e-3)


def test_the_error_is_that_of_families_and_configurations_that_were_left_out():
    errors = {noise: cross_error([measured(noise=noise)], 0.1, Kernel.of(ENCODING.encode(GRID))) for noise in (0, 1.0)}
    assert errors[0].shape == (len(GRID),)
    assert errors[0].mean() < 0.6
    assert 1.0 < errors[1.0].mean() < 1.6
    single = Measured(measured().targets, measured().traits, ("one",) * 12, ENCODING.encode(GRID), ENCODING.widths)
    assert (cross_error([single], 0.1, Kernel.of(single.encoded)) == 1).all()  # nothing can be left out
    both = cross_error([measured(), measured(seed=1, configs=GRID[:10])], 0.1, Kernel.of(ENCODING.encode(GRID)))
    assert both.shape == (len(GRID) + 10,)
