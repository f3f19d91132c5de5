"""The table of docs/predictor.md on learning while a run tunes."""

from scoreboard.markdown import committed, markdown

__all__ = ["learning"]

_PARTS = {"ranges": "ranges", "grid": "main table"}


def learning() -> str:
    """Accuracy of random search, and what the static ranking and learning are above it, by what the prediction is."""
    tables = []
    for part, label in _PARTS.items():
        found = committed("learning")[part]
        budgets = list(found["random"])
        rows = [[f"{label}, random search, %", *(f"{found['random'][budget]['mean']:.1f}" for budget in budgets)]]
        for key, of in found.items():
            for name, values in of.items() if key != "random" else ():
                if name != "static":
                    rows.append([f"{key}: {name}", *(_difference(values[budget]) for budget in budgets)])
        tables.append(markdown([f"{label}, points", *budgets], rows))
    return "\n".join(tables)


def _difference(figure: dict[str, float]) -> str:
    return f"{figure['mean']:+.1f} [{figure['low']:+.1f}, {figure['high']:+.1f}]"
