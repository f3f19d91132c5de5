"""The circumstances of a table, a predictor or a run, so that nobody mixes different ones unawares."""

import math
import re
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from hyperstar_tune.errors import MetaDatasetError

__all__ = ["PROTOCOL_VERSION", "Fingerprint"]

PROTOCOL_VERSION = 1  # of docs/protocol.md

_SETTLES = re.compile(
    r"settling over the last (\d+(?:/[1-9]\d*)?)\b"
)  # the text of a schedule that falls to zero at its end


@dataclass(frozen=True)
class Fingerprint:
    """The circumstances of training. A field that is empty or None is open: it agrees with every value."""

    space: str = ""  # SearchSpace.fingerprint
    model: str = ""  # name in timm or torchvision
    weights: str = ""  # "hub" or the first 16 digits of the file's SHA-256
    preprocessing: str = ""  # normalization of images and arguments of the network that are not its own
    image_size: int | None = None  # pixels
    schedule: str = ""  # e.g. "constant, one warm-up epoch"
    batch_size: int | None = None
    max_epochs: int | None = None  # R
    views: int | None = None  # augmented views per image that are kept where the first layers are frozen
    train_size: str = ""  # training images per task of a table, e.g. "92 to 159 images"; a run leaves it open
    protocol: int | None = PROTOCOL_VERSION

    @property
    def constant_rate(self) -> bool:
        """Whether the learning rate stays constant, so that accuracies have not settled at the last epoch."""
        return self.schedule.startswith("constant")

    @property
    def settles(self) -> bool:
        """Whether the learning rate falls to zero at the end, so that the last epoch is what a training is worth."""
        return _SETTLES.match(self.schedule) is not None

    def constant_epochs(self, max_epochs: int) -> float:
        """Epochs from the start over which the learning rate stays constant.

        Args:
            max_epochs: R of the run, where the fingerprint states none.

        Returns:
            Infinite if the rate never falls or no schedule is stated; 0 if it falls from the start, as a cosine does.
        """
        if self.constant_rate or not self.schedule:
            return math.inf
        settles = _SETTLES.match(self.schedule)
        return (self.max_epochs or max_epochs) * float(1 - Fraction(settles[1])) if settles else 0

    def differences(self, other: "Fingerprint", mine: str = "here", theirs: str = "there") -> list[str]:
        """One readable line for each field that both state and in which they differ.

        Args:
            other: What this one is compared with.
            mine: Words that say where a value of this one stands, e.g. "in the predictor".
            theirs: Words that say where a value of the other one stands, e.g. "in this run".
        """
        lines = []
        for field in fields(self):
            ours, others = getattr(self, field.name), getattr(other, field.name)
            if ours not in ("", None) and others not in ("", None) and ours != others:
                name = "version of the protocol" if field.name == "protocol" else field.name.replace("_", " ")
                lines.append(f"{name}: {ours} {mine}, {others} {theirs}")
        return lines

    def has_other_network(self, other: "Fingerprint") -> bool:
        """Whether another one is of another network, as far as both state theirs."""
        return bool(self.model and other.model and self.model != other.model)

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Fingerprint":
        """Reads what ``to_json`` wrote; null is an open field.

        Raises:
            MetaDatasetError: If a field is unknown or of the wrong type.
        """
        if not isinstance(data, dict):
            raise MetaDatasetError(f"a fingerprint must be a JSON object, but is {data!r:.40}")
        is_text = {field.name: isinstance(field.default, str) for field in fields(cls)}
        for name, value in data.items():
            if name not in is_text:
                raise MetaDatasetError(f"a fingerprint has the fields {', '.join(is_text)}, but got {name!r}")
            if value is not None and type(value) is not (str if is_text[name] else int):
                kind = "text" if is_text[name] else "a whole number"
                raise MetaDatasetError(f"fingerprint field {name} must be {kind}, but got {value!r}")
        stated: dict[str, Any] = {name: value for name, value in data.items() if value is not None or not is_text[name]}
        return cls(**stated)  # the default of a text is ""
