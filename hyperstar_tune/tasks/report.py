"""What a check found in a folder of images, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN = 10
_SHOWN_CLASSES = 20


@dataclass(frozen=True)
class TaskReport:
    """What was found in a folder. Paths are relative to it; duplicates have the same bytes."""

    name: str
    counts: dict[str, dict[str, int]]  # split -> class -> readable images
    unreadable: tuple[str, ...]
    left_out: dict[str, int]  # ending -> files that are not read as images
    unused: tuple[str, ...]  # folders beside the splits, files outside the folders of classes
    uniform: tuple[str, ...]  # images of one colour
    duplicates_within: tuple[tuple[str, ...], ...]  # groups inside one split
    duplicates_across: tuple[tuple[str, ...], ...]  # groups with a file in more than one split
    duplicates_between_classes: tuple[tuple[str, ...], ...]  # groups with more than one label, also listed above
    lookalikes: tuple[tuple[str, ...], ...] | None  # pairs across splits that look alike; None if not looked for
    imbalance: float | None  # training images of the largest class over those of the smallest
    value_range: tuple[float, float] | None  # values of black and white, of images of more than 8 bits
    remarks: tuple[str, ...]  # what may be wrong
    wrong: tuple[str, ...]  # why training would go wrong though it is not refused
    refused: str | None  # why training would be refused
    unexpected: tuple[str, ...]  # differences from the published sizes

    def to_json(self) -> dict[str, Any]:
        """The report as plain Python values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        lines = [f"{self.name}:"]
        for split, counts in self.counts.items():
            lines.append(f"  {split}: {sum(counts.values())} readable images of {len(counts)} classes")
            shown = [f"{label} {n}" for label, n in counts.items()]
            more = [f"and {len(shown) - _SHOWN_CLASSES} more"] * (len(shown) > _SHOWN_CLASSES)
            lines.append(f"    {', '.join([*shown[:_SHOWN_CLASSES], *more])}")
        if self.imbalance is not None:
            training = next(iter(self.counts.values()))
            smallest, largest = min(training, key=lambda c: training[c]), max(training, key=lambda c: training[c])
            if training[smallest] == training[largest]:
                lines.append(f"  class balance: {training[largest]} training images of every class")
            else:
                lines.append(
                    f"  class balance: {training[largest]} images of {largest}, {training[smallest]} of {smallest} "
                    f"(ratio {self.imbalance:.1f})"
                )
        lines += _listed("unreadable", [(path,) for path in self.unreadable])
        if self.left_out:
            kinds = ", ".join(f"{n} {ending or 'without ending'}" for ending, n in self.left_out.items())
            lines.append(f"  files left out, as they are no images or cannot be read: {kinds}")
        if self.unused:
            lines.append(f"  not used: {', '.join(self.unused)}")
        if self.uniform:
            lines += _listed("images of one uniform colour, or nearly so", [(path,) for path in self.uniform])
        lines += _listed("duplicates across splits (they make validation look too good)", self.duplicates_across)
        if self.lookalikes is None:
            lines.append("  lookalikes across splits: not looked for; pip install 'hyperstar_tune[check]'")
        else:
            lines += _listed("lookalikes across splits (other size or format; see for yourself)", self.lookalikes)
        lines += _listed("duplicates within a split", self.duplicates_within)
        lines += _listed("duplicates under several classes", self.duplicates_between_classes)
        lines += [f"  not as published: {difference}" for difference in self.unexpected]
        lines += [f"  remark: {remark}" for remark in self.remarks]
        lines += [f"  training would go wrong: {reason}" for reason in self.wrong]
        lines += [f"  training would be refused: {self.refused}"] * (self.refused is not None)
        lines += ["  ready for training"] * (self.refused is None and not self.wrong)
        return "\n".join(lines)


def _listed(what: str, found: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"  {what}: {len(found)}", *(f"    {' = '.join(group)}" for group in found[:_SHOWN])]
    return lines + [f"    and {len(found) - _SHOWN} more"] * (len(found) > _SHOWN)
