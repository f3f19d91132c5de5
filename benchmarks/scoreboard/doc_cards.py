"""The model cards of docs/cards.md, made of the cards that ship beside the weights."""

import json
from typing import Any

from hyperstar_tune.shipped import predictor_names, predictor_path
from scoreboard.markdown import markdown

__all__ = ["cards"]

_MEASURES = {
    "ap10": ("AP@10, %", ".1f"),
    "regret1_normalized": ("normalized regret@1", ".2f"),
    "regret3_normalized": ("normalized regret@3", ".2f"),
    "regret3_points": ("regret@3, points of accuracy", ".2f"),
}
_CIRCUMSTANCES = {
    "model": "network",
    "image_size": "image size, pixels",
    "max_epochs": "R, epochs",
    "schedule": "learning rate",
    "batch_size": "batch size",
    "preprocessing": "normalization",
    "train_size": "training images of a task",
    "protocol": "protocol",
}


def cards() -> str:
    """One section for each shipped predictor."""
    read = (json.loads((predictor_path(name) / "card.json").read_text(encoding="utf-8")) for name in predictor_names())
    return "\n".join(map(_section, read))


def _section(card: dict[str, Any]) -> str:
    rows = [[label, str(card["fingerprint"][key])] for key, label in _CIRCUMSTANCES.items() if card["fingerprint"][key]]
    parameters = card["space"]["configspace"]["hyperparameters"]
    for parameter in parameters:
        values = parameter.get("choices") or parameter.get("sequence")
        rows.append([f"values of `{parameter['name']}`", ", ".join(map(str, values))])
    families = dict.fromkeys(task["family"] for task in card["tasks"])
    rows += [
        ["learned from", f"{len(card['tasks'])} tasks of {len(families)} families: {', '.join(families)}"],
        ["images", card["images"]],
        ["method", f"`{card.get('method', 'network')}`"],
        ["origin", card["origin"]],
        ["licence", card["licence"]],
        ["weights", f"{card['weights']['bytes'] / 1e3:,.0f} kB, SHA-256 `{card['weights']['sha256'][:16]}...`"],
    ]
    measured = card["measured"]
    means = measured["mean"]
    averages = [means["mean accuracy"], means["mean normalized"]]
    found = []
    for key, (label, form) in _MEASURES.items():
        if key in means["predictor"]:
            best = (max if key == "ap10" else min)(of[key] for of in averages)
            found.append([label, *(f"{value:{form}}" for value in (means["predictor"][key], best))])
    of_tasks = f"{measured['tasks']} tasks, {measured['families']} families"
    return (
        f"## `{card['name']}`\n\n{card['task'][0].upper()}{card['task'][1:]}.\n\n{markdown(['entry', 'value'], rows)}\n"
        f"**Limits.** {card['limits']}.\n\n{markdown([f'measured ({of_tasks})', 'predictor', 'average'], found)}\n"
        f"**How it was measured.** {measured['how']}.\n"
    )
