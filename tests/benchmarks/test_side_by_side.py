"""Many replicas in one program end where each alone would."""

from dataclasses import replace

import pytest
import torch
from scoreboard.side_by_side import fit_side_by_side, run_side_by_side

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.backbone import Backbone, ImagePool
from hyperstar_tune.predictor.targets import Targets, make_targets
from hyperstar_tune.predictor.training import Trainer
from hyperstar_tune.rivals.features import FeatureStore
from hyperstar_tune.rivals.networks import BatchwiseRanker
from hyperstar_tune.rivals.steady import SteadyRanker, with_steady_scores


@pytest.fixture
def doubles():
    """Double precision: in single, rounding grows along training and hides a mistake."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def fresh(world, settings, left_out, seed, alpha, beta):
    """A trainer before its first pass."""
    names = world.table.tasks["name"].tolist()
    generator = torch.Generator().manual_seed(0)
    pools = {name: ImagePool(torch.rand(20, 1024, generator=generator), "") for name in names}
    table = world.table.without(names[left_out])
    targets = make_targets(table, settings.similarity_k)
    targets = Targets(*(getattr(targets, name).double() for name in ("scores", "similarity", "encoded")))
    settings = replace(settings, seed=seed, alpha=alpha, beta=beta, epochs=2)
    return Trainer(settings, targets, Backbone("none"), [pools[name] for name in table.tasks["name"]])


def test_every_replica_ends_where_it_would_alone(small_world, quick, doubles):
    kinds = [(0, 0, 0.0, 0.0), (1, 1, 1.0, 0.1), (2, 0, 1.0, 0.0), (2, 3, 0.0, 0.1)]
    together = [fresh(small_world, quick, *kind) for kind in kinds]  # the table lacks cells
    run_side_by_side(together)
    for kind, trainer in zip(kinds, together, strict=True):
        alone = fresh(small_world, quick, *kind)
        alone.run()
        for name, value in alone.network.state_dict().items():
            torch.testing.assert_close(trainer.network.state_dict()[name], value, rtol=1e-9, atol=1e-11)


def test_rankers_fitted_together_rank_as_alone_also_on_steady_targets(small_world, quick):
    store = FeatureStore(small_world.tasks, image_size=32, n_images=24)
    settings = replace(quick, epochs=1)
    constant = replace(small_world.table.fingerprint, schedule="constant, one warm-up epoch")
    table = replace(small_world.table, fingerprint=constant)
    tables = [table.without(family) for family in table.families[:2]]
    assert with_steady_scores(tables[1]) is not tables[1]

    def fresh_rankers():
        plain, other = (BatchwiseRanker("bm", store, settings, seed) for seed in (0, 1))
        return [plain, SteadyRanker("bm_steady", other)]

    rankers = fresh_rankers()
    fit_side_by_side(rankers, tables)
    task = small_world.table.tasks.iloc[0]
    for ranker, alone, table in zip(rankers, fresh_rankers(), tables, strict=True):
        together, expected = (r.rank(task, small_world.table.configs) for r in (ranker, alone.fit(table)))
        assert together.scores == pytest.approx(expected.scores, abs=1e-3)
        assert together.source == ranker.name


def test_folds_that_cannot_step_together_are_refused(small_world, quick):
    trainers = [fresh(small_world, quick, 0, 0, 0.0, 0.0), fresh(small_world, replace(quick, dim=4), 1, 0, 0.0, 0.0)]
    with pytest.raises(PredictorError, match="2 kinds of settings"):
        run_side_by_side(trainers)
    trainers[0].backbone = Backbone("last_stage")
    with pytest.raises(PredictorError, match="frozen backbone"):
        run_side_by_side(trainers[:1])
