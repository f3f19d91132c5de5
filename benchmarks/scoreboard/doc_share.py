"""The tables of docs/predictor.md on what holds on new families and on another network."""

from collections.abc import Mapping
from typing import Any

from scoreboard.markdown import committed, markdown

__all__ = ["SHARE_TABLES"]

_NETWORKS = {"mobilenet-v2-64px": "MobileNetV2", "shufflenet-v2-x1-v0": "ShuffleNetV2"}


def _found() -> dict[str, dict[str, Any]]:
    """What was judged, by how it is called."""
    data = committed("honest_share")
    named = {f"{_NETWORKS[name]}, new families": of for name, of in data["own_network"].items()}
    for name, of in data["other_network"].items():
        learned, judged = name.split(", judged on ")
        named[f"from {_NETWORKS[learned]} to {_NETWORKS[judged]}"] = of
    return named


def _images() -> str:
    rows = []
    for name, of in _found().items():
        whole = of["by_share"]["1"]
        rows.append(
            [
                name,
                str(of["families"]),
                _shown(of["factor"], "value", ".2f"),
                _shown(whole["quality"]["above_no_images"], "mean", "+.3f"),
                _shown(whole["points_at_3"]["above_no_images"], "mean", "+.2f"),
            ]
        )
    return markdown(
        ["learned, and judged", "families", "factor", "quality by images", "regret@3 by images, points"], rows
    )


def _coverage() -> str:
    rows = []
    for name, of in _found().items():
        spread = of["coverage"]["without images"]
        wider = of["coverage"].get("without images, spread learned in the other direction")
        cells = [f"{100 * spread[interval]:.0f} %" for interval in ("50%", "90%")]
        cells += [f"{100 * wider[interval]:.0f} %" if wider else "" for interval in ("50%", "90%")]
        rows.append([name, f"{spread['error']:.2f}", f"{spread['spread']:.2f}", *cells])
    head = ["learned, and judged", "error", "spread", "inside 50 %", "inside 90 %", "50 %, wider spread", "90 %, wider"]
    return markdown(head, rows)


def _shown(figure: Mapping[str, float], middle: str, form: str) -> str:
    return f"{figure[middle]:{form}} [{figure['low']:{form}}, {figure['high']:{form}}]"


SHARE_TABLES = {"share-images": _images, "share-coverage": _coverage}
