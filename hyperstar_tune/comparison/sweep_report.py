"""Reports a sweep to a person, in tables of text and the figures of the paper."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hyperstar_tune.comparison.budgets import Budgets
from hyperstar_tune.comparison.methods import looks
from hyperstar_tune.comparison.summary import summarize
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["report_sweep"]


def report_sweep(
    results: pd.DataFrame, table: MetaDataset, budgets: Sequence[Budgets], figures: Path | None = None
) -> str:
    """Makes tables of the mean best accuracy and of the epochs to a rival's accuracy, as lines of text.

    The arguments are those of ``summarize``. If there is a folder for figures, Figures 3 and 4 (one panel per task), 5b
    (the average), and regret against epochs and seconds are drawn there.
    """
    summary = summarize(results, table, budgets)
    methods = list(dict.fromkeys(results["method"]))
    lines = []
    for eta, part in summary["by_eta"].items():
        lines += [f"Mean best accuracy over families (half {summary['half']}), eta = {eta}, by budget in epochs:"]
        rows = {
            method: [
                f"{part['methods'][method]['at_budgets'][str(b)]['accuracy']['mean']:.3f}" for b in part["budgets"]
            ]
            for method in methods
        }
        lines += [pd.DataFrame(rows, index=part["budgets"]).T.to_string(), ""]
        ratios = {
            f"to {rival}": {method: f"{value['mean']:.2f}" for method, value in values.items()}
            for rival, values in part["epochs_to_rival"].items()
        }
        if ratios:
            lines += [f"Epochs to a rival's final accuracy over the rival's own, eta = {eta}:"]
            lines += [pd.DataFrame(ratios, index=methods).to_string(), ""]
    if figures is not None:
        from hyperstar_tune.report.figures import draw_average, draw_regret, draw_tasks  # matplotlib: half a second

        shown = looks(methods)
        draw_average(summary, figures / "average.png", shown)
        for eta in summary["by_eta"]:
            draw_tasks(summary, figures / f"tasks_eta_{eta}.png", shown, eta)
            draw_regret(summary, figures / f"regret_eta_{eta}.png", shown, eta)
        lines.append(f"figures drawn in {figures}")
    return "\n".join(lines).rstrip()
