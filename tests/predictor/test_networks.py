import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hyperstar_tune.predictor.networks import Architecture, Discriminator, PredictorNetwork

SIZES = Architecture(n_features=12, config_dim=7, width=8, heads=2, dim=4, hidden=6)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PredictorNetwork(SIZES).eval().requires_grad_(False)


@settings(max_examples=20, deadline=None)
@given(n_batches=st.integers(1, 4), n_images=st.integers(1, 6), n_configs=st.integers(1, 5))
def test_shapes(network, n_batches, n_images, n_configs):
    tasks = network.embed_tasks(torch.randn(n_batches, n_images, 12))
    configs = network.embed_configs(torch.randn(n_configs, 7))
    assert (tasks.shape, configs.shape) == ((n_batches, 4), (n_configs, 4))
    assert network(tasks, configs).shape == (n_batches, n_configs)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_order_of_a_batchs_images_does_not_matter(network, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, 9, 12, generator=generator)
    shuffled = features[:, torch.randperm(9, generator=generator)]
    torch.testing.assert_close(network.embed_tasks(shuffled), network.embed_tasks(features), atol=1e-5, rtol=1e-5)


def test_images_of_a_batch_attend_to_each_other(network):
    one, other = torch.randn(1, 1, 12), torch.randn(1, 1, 12)
    together = network.embed_tasks(torch.cat([one, other], dim=1))
    apart = (network.embed_tasks(one) + network.embed_tasks(other)) / 2
    assert not torch.allclose(together, apart, atol=1e-4)


def test_all_pairs_at_once_are_f_of_each_pair(network):
    tasks, configs = torch.randn(3, 4), torch.randn(5, 4)
    scores = network(tasks, configs)
    for i, task in enumerate(tasks):
        for j, config in enumerate(configs):
            both = torch.cat([task, config, task * config])
            torch.testing.assert_close(scores[i, j], network.score(network.from_both(both))[0])


def test_discriminator_gives_one_logit_a_representation():
    assert Discriminator(4)(torch.randn(2, 3, 4)).shape == (2, 3)


def test_nothing_in_the_networks_draws_random_numbers():
    for network in (PredictorNetwork(SIZES), Discriminator(4)):
        rates = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
        assert not any(rates)
