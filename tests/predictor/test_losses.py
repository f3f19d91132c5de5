import math

import pytest
import torch

from hyperstar_tune.predictor.losses import (
    adversarial_loss,
    discriminator_accuracy,
    performance_loss,
    similarity_loss,
)


def test_performance_loss_is_the_mean_squared_error():
    assert performance_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == pytest.approx(2.5)


def test_similarity_loss_by_hand():
    batch = torch.tensor([1.0, 0.0])
    others = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])  # cosines 1, 0, 0.7071
    similarity = torch.tensor([0.5, 0.2, math.nan])
    assert similarity_loss(batch, others, similarity).item() == pytest.approx((0.25 + 0.04) / 2)


def test_similarity_loss_moves_the_batch_only():
    batch, others = torch.tensor([1.0, 0.5], requires_grad=True), torch.ones(3, 2, requires_grad=True)
    similarity_loss(batch, others, torch.zeros(3)).backward()
    assert others.grad is None
    assert batch.grad.abs().sum() > 0


def test_similarity_loss_without_a_known_pair_is_0_and_can_be_differentiated():
    batch = torch.tensor([1.0, 0.5], requires_grad=True)
    loss = similarity_loss(batch, torch.ones(2, 2), torch.full((2,), math.nan))
    loss.backward()
    assert loss.item() == 0
    assert batch.grad.tolist() == [0, 0]


def test_adversarial_loss_by_hand():
    whole, batch = torch.tensor([2.0, 0.0]), torch.tensor([-1.0])

    def d(logit):
        return 1 / (1 + math.exp(-logit))

    expected = (math.log(d(2)) + math.log(d(0))) / 2 + math.log(1 - d(-1))
    assert adversarial_loss(whole, batch).item() == pytest.approx(expected)
    assert adversarial_loss(torch.zeros(1), torch.zeros(1)).item() == pytest.approx(-2 * math.log(2))


def test_adversarial_loss_rises_as_d_tells_them_apart_and_falls_as_g_deceives_it():
    whole, batch = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    adversarial_loss(whole, batch).backward()
    assert whole.grad.item() > 0  # d, maximizing, raises the logit of whole tasks
    assert batch.grad.item() < 0  # g, minimizing, raises that of batches


@pytest.mark.parametrize(
    ("whole", "batch", "accuracy"), [([1.0], [-1.0], 1.0), ([-1.0], [1.0], 0.0), ([1.0, 1.0], [2.0], 0.5)]
)
def test_discriminator_accuracy(whole, batch, accuracy):
    assert discriminator_accuracy(torch.tensor(whole), torch.tensor(batch)) == accuracy
