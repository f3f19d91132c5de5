"""What is known of several tables of learning curves, side by side: the table of docs/metadataset.md."""

from typing import Any

__all__ = ["description_table"]


def description_table(columns: list[dict[str, Any]]) -> str:
    """The figures of several descriptions as a Markdown table, one column per table of learning curves."""

    def split(name: str) -> list[str]:
        found = [column[name] for column in columns]
        return [
            "too few tasks" if s is None
            else f"{s['configuration']:.0%} / {s['interaction']:.0%}"
            + (f" / {s['noise']:.0%}, from {s['noise_from']}" if s["noise"] is not None else " with noise")
            for s in found
        ]  # fmt: skip

    def number(name: str, form: str = ".2f") -> list[str]:
        return ["too few tasks" if column[name] is None else f"{column[name]:{form}}" for column in columns]

    def precision(name: str, lacks: str) -> list[str]:
        return [
            f"{column[name]:.2f}" if column[name] is not None else lacks if column["noise_ceiling"] else "no half B"
            for column in columns
        ]

    def seeds(column: dict[str, Any]) -> str:
        ceiling = column["noise_ceiling"]
        some = ceiling is not None and not ceiling["same_seed"] and ceiling["tasks"] < column["tasks"]
        return f"1 (up to {column['seeds']} on {ceiling['tasks']} tasks)" if some else str(column["seeds"])

    planned = [f" of {column['tasks_planned']} planned" if "tasks_planned" in column else "" for column in columns]
    rows = {
        "": [column["table"]["name"] for column in columns],
        "tasks": [f"{c['tasks']}{p}" for c, p in zip(columns, planned, strict=True)],
        "parents, sub-tasks, families": [f"{c['parents']}, {c['sub_tasks']}, {c['families']}" for c in columns],
        "configurations x seeds, epochs": [f"{c['configurations']} x {seeds(c)}, {c['epochs']}" for c in columns],
        "measured": number("coverage", ".0%"),
        "complete tasks, compared below": number("tasks_compared", "d"),
        "mean rank correlation of two tasks": number("mean_rank_correlation"),
        "variance: configuration / task x configuration / noise": split("variance"),
        "the same, better half of the configurations": split("variance_upper_half"),
        "noise ceiling of AP@10": precision("noise_ceiling_ap10", "no task has three seeds"),
        "AP@10 of half A on half B of the same seed (no ceiling)": precision("same_seed_ap10", "not needed"),
        "tasks with another best than the average best": number("tasks_with_other_best", ".0%"),
        "their own best is better by (points, half B)": [
            "cannot be told" if c["own_best_gain"] is None else f"{100 * c['own_best_gain']:.2f}" for c in columns
        ],
    }
    lines = [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    lines.insert(1, "|---" * (len(columns) + 1) + "|")
    return "\n".join(lines) + "\n"
