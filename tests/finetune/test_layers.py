import pytest
import timm
import torch
import torchvision
from torch import nn

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.layers import Split, find_groups, set_trained

# name -> (head, first unit of the last stage), read off the published architectures
NETWORKS = {
    "mobilenetv2_100": ("classifier", "blocks.5.0"),
    "resnet18": ("fc", "layer4.0"),
    "seresnext50_32x4d": ("fc", "layer4.0"),
    "efficientnet_b0": ("classifier", "blocks.5.0"),
    "convnext_atto": ("head.fc", "stages.3"),
    "vit_tiny_patch16_224": ("head", "blocks.8"),
    "regnety_002": ("head.fc", "s4"),
    "torchvision/shufflenet_v2_x1_0": ("fc", "stage4.0"),
    "torchvision/mobilenet_v3_small": ("classifier.3", "features.9"),
    "torchvision/resnet18": ("fc", "layer4.0"),
    "torchvision/squeezenet1_1": ("classifier.1", "features.9"),
}


def network(name, n_classes=5):
    torch.manual_seed(0)
    if name.startswith("torchvision/"):
        return torchvision.models.get_model(name.partition("/")[2], weights=None, num_classes=n_classes)
    return timm.create_model(name, num_classes=n_classes, **({"img_size": 64} if name.startswith("vit") else {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_and_split_of_published_networks(name):
    model = network(name)
    groups = find_groups(model, 64)
    head, start = NETWORKS[name]
    assert groups.head == (head,)
    assert groups.units[groups.last_stage_start].name == start
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        whole = model.eval()(images)
        for layers in ("head", "last_stage"):
            split = Split(model, groups, groups.trained(layers), 64)
            assert split.works
            torch.testing.assert_close(split.suffix(split.prefix(images)), whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model(images), whole)  # the network is as it was


@pytest.mark.parametrize("name", ["resnet18", "torchvision/mobilenet_v3_small"])
def test_gradients_of_the_suffix_are_those_of_the_whole(name):
    model = network(name)
    groups = find_groups(model, 64)
    trained = groups.trained("last_stage")
    parameters = set_trained(model, trained)
    model.eval()
    images = torch.randn(4, 3, 64, 64)
    model(images).square().sum().backward()
    whole = [p.grad.clone() for p in parameters]
    model.zero_grad()
    split = Split(model, groups, trained, 64)
    split.suffix(split.prefix(images)).square().sum().backward()
    for p, expected in zip(parameters, whole, strict=True):
        torch.testing.assert_close(p.grad, expected, rtol=1e-3, atol=1e-4)


def test_only_the_named_layers_train():
    model = network("resnet18")
    groups = find_groups(model, 64)
    set_trained(model, groups.trained("last_stage"))
    assert model.layer4[0].bn1.training
    assert not model.layer3[0].bn1.training
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in model.named_parameters() if n.startswith(("layer4.", "fc."))}
    set_trained(model, groups.trained("all"))
    assert all(p.requires_grad for p in model.parameters())
    assert model.bn1.training


def test_groups_grow_from_head_to_all():
    model = network("efficientnet_b0")
    groups = find_groups(model, 64)
    sizes = [sum(p.numel() for p in set_trained(model, groups.trained(g))) for g in ("head", "last_stage", "all")]
    assert sizes == sorted(set(sizes))
    assert sizes[2] == sum(p.numel() for p in model.parameters())


class Wrapped(nn.Module):
    """All of a network in one child, head included."""

    def __init__(self):
        super().__init__()
        self.net = network("resnet18")

    def forward(self, x):
        return self.net(x)


def test_a_wrapped_network_is_opened():
    groups = find_groups(Wrapped(), 64)
    assert groups.head == ("net.fc",)
    assert groups.units[groups.last_stage_start].name == "net.layer4.0"


class Skipping(nn.Module):
    """The head also sees what comes out of the first layer: no chain of units."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=4)
        self.second = nn.Conv2d(8, 8, 3, stride=2)
        self.third = nn.Conv2d(8, 8, 3, stride=2)
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        early = self.first(x)
        return self.fc(torch.cat([early.mean((2, 3)), self.third(self.second(early)).mean((2, 3))], 1))


def test_a_network_that_cannot_be_split_says_so():
    model = Skipping()
    groups = find_groups(model, 64)
    assert groups.trained("last_stage") == ("third", "fc")
    assert not Split(model, groups, groups.trained("last_stage"), 64).works
    assert Split(model, groups, groups.trained("head"), 64).works


def test_unknown_group():
    with pytest.raises(ModelError, match="head, last_stage, all, but got 'middle'"):
        find_groups(network("resnet18"), 64).trained("middle")


def test_network_without_classifier():
    with pytest.raises(ModelError, match=r"classifier|logits"):
        find_groups(timm.create_model("resnet18", num_classes=0, global_pool=""), 64)


def test_network_that_refuses_the_images():
    with pytest.raises(ModelError, match="RGB images of 48 pixels"):
        find_groups(timm.create_model("vit_tiny_patch16_224", num_classes=3), 48)
