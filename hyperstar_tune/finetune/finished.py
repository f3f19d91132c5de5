"""A finished model: a folder that holds a fine-tuned network and all that is needed to use it.

``model.safetensors`` has the whole network under the names that timm or torchvision give its tensors, so that either
loads it without this library. ``card.json`` has the classes, how an image becomes the network's input, and where the
model comes from. ``README.md`` says the same to people. Nothing in the folder is unpickled.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hyperstar_tune._files import replacing_directory, sha256
from hyperstar_tune.errors import ModelError, TaskError, first_line
from hyperstar_tune.finetune.models import Architecture
from hyperstar_tune.finetune.settings import FineTuneSettings
from hyperstar_tune.tasks.folders import list_classes
from hyperstar_tune.tasks.pixels import upright_square
from hyperstar_tune.tasks.sources import UnreadableImageError, in_threads, read_square
from hyperstar_tune.tasks.task import ImageTask

__all__ = ["FinishedModel", "Prediction", "load_best", "save_finished"]

CARD, WEIGHTS, README = "card.json", "model.safetensors", "README.md"
_SCHEMA = 1
_BATCH = 64
_RESIZE = "to a square, antialiased bilinear, nothing cut off"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image."""

    image: str  # its path, or its number
    label: str  # the most probable class; empty if the image could not be read
    probability: float  # of that class
    probabilities: dict[str, float] = field(repr=False)  # by class
    error: str = ""  # why the image could not be read


@dataclass(frozen=True)
class FinishedModel:
    """A network in evaluation mode, and how an image becomes its input.

    Attributes:
        module: Takes what ``transform`` gives, [B, 3, S, S], and returns logits [B, classes].
        classes: Names of the classes, in the order of the logits.
        card: The content of ``card.json``.
    """

    module: nn.Module = field(repr=False)
    classes: tuple[str, ...]
    card: dict[str, Any] = field(repr=False)

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the network takes."""
        return int(self.card["images"]["size"])

    def transform(self, image: "str | Path | Image.Image") -> Tensor:
        """An image file, or an opened image, as the network's input, float32 [3, S, S].

        Raises:
            TaskError: If it cannot be read.
        """
        try:
            return self._read(image)
        except UnreadableImageError as error:
            raise TaskError(f"an image must be readable, but {first_line(error)}") from error

    def logits(self, images: "Sequence[str | Path | Image.Image]") -> Tensor:
        """Logits of images, [n, classes], on the CPU.

        Raises:
            TaskError: If one cannot be read.
        """
        parts = [self._run(in_threads(self.transform, chunk)) for chunk in _chunks(images)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.classes))

    def predict(self, images: "Sequence[str | Path | Image.Image]") -> Iterator[Prediction]:
        """The class of each image; one that cannot be read gets a ``Prediction`` with an ``error``."""
        for start, chunk in enumerate(_chunks(images)):
            read = in_threads(self._try, chunk)
            readable = [tensor for tensor, _ in read if tensor is not None]
            rows = iter(self._run(readable).softmax(1).tolist() if readable else [])
            for number, (image, (tensor, error)) in enumerate(zip(chunk, read, strict=True), start * _BATCH):
                name = f"image {number}" if isinstance(image, Image.Image) else str(image)
                if tensor is None:
                    yield Prediction(name, "", math.nan, {}, error)
                    continue
                shares = dict(zip(self.classes, next(rows), strict=True))
                label = max(shares, key=lambda c: shares[c])
                yield Prediction(name, label, shares[label], shares)

    def predict_folder(self, folder: str | Path) -> Iterator[tuple[str, Prediction]]:
        """The true class and the prediction of each image of a folder of labelled images, ``CLASS/*``.

        Raises:
            TaskError: If the folder has classes that the model does not know.
        """
        listed = list_classes(Path(folder), Path(folder))
        unknown = sorted(set(listed) - set(self.classes))
        if unknown:
            raise TaskError(f"{folder} may hold classes that the model knows, but has {unknown[0]!r}; move it away")
        truths = [name for name, paths in listed.items() for _ in paths]
        paths = [path for paths in listed.values() for path in paths]
        return zip(truths, self.predict(paths), strict=True)

    def _read(self, image: "str | Path | Image.Image") -> Tensor:
        about = self.card["images"]
        value_range = tuple(about["value_range"]) if about["value_range"] else None
        if isinstance(image, Image.Image):
            square = upright_square(image, self.image_size, value_range)
        else:
            square = read_square(Path(image), self.image_size, value_range)
        mean, std = (torch.tensor(about[name]).view(3, 1, 1) for name in ("mean", "std"))
        return (torch.from_numpy(square).float().div_(255) - mean) / std

    def _try(self, image: "str | Path | Image.Image") -> tuple[Tensor | None, str]:
        try:
            return self._read(image), ""
        except UnreadableImageError as error:
            return None, first_line(error)

    def _run(self, inputs: list[Tensor]) -> Tensor:
        device = next(self.module.parameters()).device
        with torch.inference_mode():
            return self.module(torch.stack(inputs).to(device)).float().cpu()


def load_best(folder: str | Path, device: str | torch.device = "cpu") -> FinishedModel:
    """Loads a finished model from its folder, or from the folder of the run that made it.

        model = load_best("runs/flowers")
        model.module(model.transform("rose.jpg")[None])      # logits [1, classes]

    Raises:
        ModelError: If there is none, its files are damaged, or the installed libraries lack its network.
    """
    path = Path(folder).expanduser()
    path = path / "best" if not (path / CARD).is_file() and (path / "best" / CARD).is_file() else path
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"a finished model is a folder with a {CARD}, but {path} has none to read") from error
    except ValueError as error:
        raise ModelError(f"{path / CARD} must be JSON, but is not: {first_line(error)}") from error
    if not isinstance(card, dict) or card.get("schema") != _SCHEMA:
        raise ModelError(f"{path / CARD} must be of schema {_SCHEMA}; use the version of hyperstar_tune that wrote it")
    try:
        if sha256(path / WEIGHTS) != card["weights"]["sha256"]:
            raise ModelError(
                f"{path / WEIGHTS} must be the file that its card describes, but is another; copy it again"
            )
        module = Architecture(**card["network"]).build(len(card["classes"]))
        module.load_state_dict(load_file(path / WEIGHTS))
    except ModelError:
        raise
    except Exception as error:  # whatever damaged files and other versions of networks lead to
        raise ModelError(f"{path} is no sound model: {type(error).__name__}: {first_line(error)}") from error
    return FinishedModel(module.to(device).eval(), tuple(card["classes"]), card)


def save_finished(
    folder: str | Path,
    state: Mapping[str, Tensor],
    settings: FineTuneSettings,
    normalization: Mapping[str, Sequence[float]],
    task: ImageTask,
    about: Mapping[str, Any],
) -> None:
    """Writes a finished model; the folder is replaced as a whole.

    Args:
        folder: The folder.
        state: The whole network's tensors.
        settings: Those it was trained with, its image size included.
        normalization: ``mean`` and ``std`` of RGB in [0, 1].
        task: The task it was trained on.
        about: Further entries of the card; ``readme`` is text for the README.
    """
    architecture = Architecture.of(settings.model, settings.image_size, settings.model_kwargs)
    entries = {key: value for key, value in about.items() if key != "readme"}
    card = {
        "schema": _SCHEMA,
        "network": asdict(architecture),
        "classes": list(task.classes),
        "images": {
            "size": settings.image_size,
            "resize": _RESIZE,
            "background": "white under transparent pixels",
            "value_range": list(task.value_range) if task.value_range is not None else None,
            **{name: list(normalization[name]) for name in ("mean", "std")},
        },
        "weights": {"file": WEIGHTS},
        **entries,
    }
    with replacing_directory(Path(folder)) as fresh:
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        save_file(tensors, fresh / WEIGHTS, {"format": "pt"})
        (fresh / WEIGHTS).chmod(0o644)  # it is written readable for its owner alone
        card["weights"]["sha256"] = sha256(fresh / WEIGHTS)
        (fresh / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        text = _readme(card, architecture, str(about.get("readme", "")))
        (fresh / README).write_text(text, encoding="utf-8")


def _readme(card: dict[str, Any], architecture: Architecture, text: str) -> str:
    images = card["images"]
    arguments = "".join(f", {name}={value!r}" for name, value in architecture.arguments.items())
    make = {
        "timm": f"timm.create_model({architecture.name!r}, num_classes={len(card['classes'])}{arguments})",
        "torchvision": f"torchvision.models.get_model({architecture.name!r}, num_classes={len(card['classes'])}"
        f"{arguments})",
        "hyperstar_tune": f"ConvolutionalNetwork({len(card['classes'])}{arguments})",
    }[architecture.library]
    source = "hyperstar_tune.finetune" if architecture.library == "hyperstar_tune" else ""
    imported = f"from {source} import ConvolutionalNetwork" if source else f"import {architecture.library}"
    return f"""# {architecture.name}, fine-tuned

{text.strip()}

With this library:

```python
from hyperstar_tune import load_best

model = load_best("this folder")
print(*model.predict(["an image.jpg"]))
```

{"Or" if source else f"With {architecture.library} alone"}:

```python
{imported}
from safetensors.torch import load_file

network = {make}
network.load_state_dict(load_file("{WEIGHTS}"))
```

The network takes RGB images in [0, 1] of {images["size"]} x {images["size"]} pixels, resized {images["resize"]}, from
which the mean {images["mean"]} is subtracted and which are divided by the standard deviation {images["std"]}.
Transparent pixels are {images["background"].split()[0]}. The classes are in `{CARD}`, in the order of the logits.
"""


def _chunks(images: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(images), _BATCH):
        yield images[start : start + _BATCH]
