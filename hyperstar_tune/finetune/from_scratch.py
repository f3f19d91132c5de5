"""The network of Increasing Image Sizes, ``cnn-from-scratch``: small, untrained, and its shape is searched.

A convolution is followed by a max-pooling that halves the side of the image, one to four times. Then come one to three
fully connected layers, and the classifier with its softmax. The number of layers, the filters and the filter size of
each convolution and the units of each fully connected layer are parameters of a configuration.

One thing is ours: an average pooling to at most 4 x 4 places stands before the fully connected layers. So their
weights do not grow with the image, and one convolution at 128 pixels does not need a gigabyte.

Source: Hinz et al., "Speeding up the Hyperparameter Optimization of Deep Convolutional Neural Networks", 2018.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pandas import Interval
from torch import nn

from hyperstar_tune.errors import ModelError
from hyperstar_tune.finetune.knobs import Knob

__all__ = ["FROM_SCRATCH", "SHAPE", "ConvolutionalNetwork", "shape_knobs"]

FROM_SCRATCH = "cnn-from-scratch"
_MOST_CONVOLUTIONS, _MOST_CONNECTED = 4, 3
_LEAST_SIZE = 2**_MOST_CONVOLUTIONS  # pixels, of which every number of poolings leaves something
_MOST_PLACES = 4  # side of what enters the fully connected layers


def _has(count: str, number: int, config: Mapping[str, Any]) -> bool:
    return bool(config[count] >= number)


def _layer_knob(name: str, number: int, default: int, meaning: str, count: str, within: Any) -> Knob:
    return Knob(
        f"{name}_{number}",
        default,
        meaning,
        within=within,
        whole=True,
        condition=f"{count} of at least {number}",
        applies=partial(_has, count, number),
    )


SHAPE = {
    knob.name: knob
    for knob in (
        Knob("n_conv", 2, "Convolutions.", within=Interval(1, _MOST_CONVOLUTIONS, closed="both"), whole=True),
        Knob("n_fc", 1, "Fully connected layers.", within=Interval(1, _MOST_CONNECTED, closed="both"), whole=True),
        *(
            _layer_knob(name, number, default, meaning, "n_conv", within)
            for number in range(1, _MOST_CONVOLUTIONS + 1)
            for name, default, meaning, within in (
                ("filters", 32, "Filters of a convolution.", Interval(1, 1024, closed="both")),
                ("filter_size", 3, "Side of the filters of a convolution, in pixels.", Interval(1, 11, closed="both")),
            )
        ),
        *(
            _layer_knob("units", number, 128, "Units of a layer.", "n_fc", Interval(1, 4096, closed="both"))
            for number in range(1, _MOST_CONNECTED + 1)
        ),
    )
}


def shape_knobs(model: str) -> dict[str, Knob]:
    """The knobs that say the shape of a network; none where the network's name says it."""
    return SHAPE if model == FROM_SCRATCH else {}


class ConvolutionalNetwork(nn.Sequential):
    """The network: logits [B, classes] of normalized images [B, 3, S, S]; the softmax is part of the loss.

    Args:
        num_classes: Outputs of the classifier.
        image_size: Side of the images in pixels, at least 16.
        shape: Values of ``SHAPE``; what is left out has its default.

    Raises:
        ModelError: If the images are too small for the poolings.
        TypeError: If a value is unknown.
    """

    def __init__(self, num_classes: int, image_size: int, **shape: int) -> None:
        unknown = next((name for name in shape if name not in SHAPE), None)
        if unknown is not None:
            raise TypeError(f"unexpected argument {unknown!r}; the shape has {', '.join(SHAPE)}")
        if image_size < _LEAST_SIZE:
            raise ModelError(
                f"{FROM_SCRATCH} takes images of at least {_LEAST_SIZE} pixels, since each of up to "
                f"{_MOST_CONVOLUTIONS} poolings halves them, but got {image_size}"
            )
        full = {name: shape.get(name, knob.default) for name, knob in SHAPE.items()}
        layers: list[nn.Module] = []
        channels, side = 3, image_size
        for number in range(1, full["n_conv"] + 1):
            filters, size = full[f"filters_{number}"], full[f"filter_size_{number}"]
            convolution = nn.Conv2d(channels, filters, size, padding="same")
            # Pooling before the ReLU gives the same and leaves it a quarter of the places: a third less time on a CPU.
            layers.append(nn.Sequential(convolution, nn.MaxPool2d(2), nn.ReLU()))
            channels, side = filters, side // 2
        places = min(_MOST_PLACES, side)
        layers += [nn.AdaptiveAvgPool2d(places), nn.Flatten()]
        features = channels * places**2
        for number in range(1, full["n_fc"] + 1):
            layers.append(nn.Sequential(nn.Linear(features, full[f"units_{number}"]), nn.ReLU()))
            features = full[f"units_{number}"]
        super().__init__(*layers, nn.Linear(features, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                # torch's own rule shrinks the signal at every layer, and seven of them would hardly begin to learn.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
