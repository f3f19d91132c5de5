import pytest
import torch

from hyperstar_tune.errors import SpaceError
from hyperstar_tune.finetune.augmentation import augment


def seeded(n=0):
    return torch.Generator().manual_seed(n)


@pytest.fixture
def images():
    ramp = torch.linspace(0, 1, 32)
    picture = torch.stack([ramp.expand(32, 32), ramp.expand(32, 32).T, torch.full((32, 32), 0.3)])
    return picture.repeat(64, 1, 1, 1)  # 64 times the same image


def test_none_changes_nothing(images):
    assert augment(images, "none", seeded()) is images


@pytest.mark.parametrize("policy", ["basic", "strong"])
def test_every_image_gets_its_own_change_and_seeds_repeat(images, policy):
    out = augment(images, policy, seeded())
    assert out.shape == images.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert len({o.numpy().tobytes() for o in out}) > 0.75 * len(images)  # few crops coincide
    assert torch.equal(out, augment(images, policy, seeded()))
    assert not torch.equal(out, augment(images, policy, seeded(1)))


def test_basic_flips_about_half_and_never_upside_down(images):
    out = augment(images, "basic", seeded())
    flipped = out[:, 0, :, 0].mean(1) > out[:, 0, :, -1].mean(1)
    assert 16 < flipped.sum() < 48
    assert (out[:, 1, 0].mean(1) < out[:, 1, -1].mean(1)).all()


def test_basic_keeps_colours_and_most_of_the_image(images):
    out = augment(images, "basic", seeded())
    torch.testing.assert_close(out[:, 2], images[:, 2])
    seen = out[:, 0].amax((1, 2)) - out[:, 0].amin((1, 2))
    assert (seen > 0.7).all()


def test_strong_changes_colours_and_erases_from_about_half(images):
    out = augment(images.repeat(4, 1, 1, 1).clamp(min=0.05), "strong", seeded())
    assert out.mean((1, 2, 3)).std() > 0.02
    black = (out == 0).all(1).float().mean((1, 2))
    assert 0.3 < (black > 0.02).float().mean() < 0.8


def test_the_global_random_state_is_left_alone(images):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    augment(images, "strong", seeded())
    assert torch.equal(torch.rand(3), expected)


def test_unknown_policy(images):
    with pytest.raises(SpaceError, match="none, basic, strong, but got 'wild'"):
        augment(images, "wild", seeded())
