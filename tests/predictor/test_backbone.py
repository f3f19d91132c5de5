import numpy as np
import pytest
import torch

from hyperstar_tune.errors import PredictorError
from hyperstar_tune.predictor.backbone import Backbone, to_tensor

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (70, 3, 32, 32), dtype=np.uint8))


@pytest.mark.parametrize("trained", ["none", "last_stage", "all"])
def test_cached_features_and_fused_layers_give_what_the_whole_network_gives(trained):
    backbone = Backbone(trained)
    with torch.inference_mode():
        features = backbone(IMAGES)
        assert features.shape == (70, backbone.n_features)
        torch.testing.assert_close(backbone.suffix(backbone.prefix(IMAGES)), features, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(backbone.fused()(IMAGES), features, atol=1e-4, rtol=1e-3)


def test_the_features_are_torchvisions_own():
    from torchvision.models import shufflenet_v2_x1_0

    backbone = Backbone("last_stage")
    theirs = shufflenet_v2_x1_0(weights=None).eval()
    theirs.fc = torch.nn.Identity()
    state = {**backbone.frozen.state_dict(), **backbone.trained.state_dict()}
    theirs.load_state_dict(state)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = (IMAGES / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        torch.testing.assert_close(backbone(IMAGES), theirs(normalized), atol=1e-4, rtol=1e-3)


def test_only_the_trained_part_learns_and_statistics_stay():
    backbone = Backbone("last_stage").train()
    statistics = {name: value.clone() for name, value in backbone.named_buffers()}
    backbone(IMAGES[:8]).sum().backward()
    assert all(parameter.grad is None for parameter in backbone.frozen.parameters())
    assert all(parameter.grad is not None for parameter in backbone.trained.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in backbone.named_buffers())


def test_bad_input_is_refused():
    with pytest.raises(PredictorError, match=r"one of .*'half'"):
        Backbone("half")
    with pytest.raises(PredictorError, match=r"uint8 of shape \[..., 3, S, S\], but are torch.float32"):
        to_tensor(np.zeros((1, 3, 8, 8), dtype=np.float32))
