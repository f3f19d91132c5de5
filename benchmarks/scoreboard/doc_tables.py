"""The tables of results in the README and in docs/: made from the committed JSON and put between markers, never typed.

A table NAME stands between ``<!-- table NAME: begin -->`` and ``<!-- table NAME: end -->``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scoreboard.described import description_table
from scoreboard.doc_any_space import any_space, other_table, search, search_goals
from scoreboard.doc_cards import cards
from scoreboard.doc_learning import learning
from scoreboard.doc_peers import peers_accuracy, peers_suggest, peers_syne_tune
from scoreboard.doc_races import choosing, race, race_goals, spent
from scoreboard.doc_share import SHARE_TABLES
from scoreboard.doc_sizes import SIZES_TABLES
from scoreboard.markdown import committed, markdown
from scoreboard.race_table import STEADY_RIVALS

__all__ = ["DOCS", "TABLES", "filled", "write_docs"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("budgets", "results", "predictor", "metadataset", "protocol")),
    *(ROOT / "docs" / f"{name}.md" for name in ("peers", "cards", "image-sizes")),
]
_PLACE = re.compile(r"(<!-- table (\S+): begin -->\n)(.*?)(<!-- table \2: end -->)", re.DOTALL)

_MAIN, _TEST, _FIRST = "sweep_mobilenet-v2-64px", "sweep_test_families_mobilenet-v2-64px", "sweep"
_OURS, _NETWORK, _AVERAGE = "hyperstar_plus", "bm_both", "average_top1"
_LONGEST = "hyperband_longest_first"
_README = {
    "untuned_default": "no tuning at all: AdamW 1e-3, all layers, basic augmentation, trained once",
    "race": "**HyperSTAR+, race**: its first configuration against the one that complements it, then down its ranking",
    "race_no_images": "the same race without images",
    "expert": "a race by hand: all layers against the last stage, then nothing more",
    f"{_OURS}+alone": "HyperSTAR+'s ranking, each configuration trained for all R epochs",
    "portfolio+alone": "a greedy portfolio of known tasks' configurations (no images)",
    f"{_AVERAGE}+alone": "the average ranking (no images)",
    f"{_NETWORK}+alone": "HyperSTAR's ranking (the paper's network, frozen backbone)",
    "bohb": "BOHB",
    "hyperband": "Hyperband",
}
_BY_HAND = ("untuned_default", "expert", "tutorial_sgd", "head_alone")
_RACES = ("race", "race_no_images", "race_seconds")
_UNRANKED = ("rush", "bohb", "hyperband", "asha", "random_search")
_COMMON = (
    *_BY_HAND,
    *_RACES,
    "portfolio+race",
    *_UNRANKED,
    f"{_OURS}+alone",
    f"{_OURS}+hyperband",
    f"{_AVERAGE}+alone",
    f"{_AVERAGE}+hyperband",
)
_SHOWN = {  # methods in the tables of accuracy
    _MAIN: (
        *_COMMON,
        *("tpe_hyperband", "tr_automl", "ray_hyperband", _LONGEST, f"{_OURS}+asha", f"{_OURS}+bohb"),
        *(f"{ranker}+{_LONGEST}" for ranker in (_OURS, _NETWORK, _AVERAGE)),
        *(f"{_NETWORK}+hyperband{use}" for use in ("", "_mixed", "_sampled", "_restart")),
        *(f"{ranker}+alone" for ranker in ("average_normalized", "deep_kernel", "meta_data", "portfolio")),
        *(f"{ranker}+alone" for ranker in ("random_forest", _NETWORK, "plus_average", "global_mean")),
        f"{_NETWORK}+bohb",
        *STEADY_RIVALS,
    ),
    _TEST: (
        *_COMMON,
        *STEADY_RIVALS,
        *(f"{ranker}+alone" for ranker in ("random_forest", "deep_kernel", "meta_data", _NETWORK, "plus_average")),
        *("portfolio+alone", "average_normalized+alone", f"{_NETWORK}+hyperband", f"{_OURS}+{_LONGEST}"),
    ),
    _FIRST: (
        *(name for name in _COMMON if name != "rush"),
        "portfolio+alone",
        f"{_NETWORK}+alone",
        f"{_NETWORK}+hyperband",
    ),
}
_TO_RIVAL = (
    *("race", "race_no_images", "expert"),
    *(f"{_AVERAGE}+alone", f"{_OURS}+{_LONGEST}", "portfolio+alone", "plus_average+alone", "meta_data+alone"),
    *("deep_kernel+alone", f"{_NETWORK}+alone", "rush", f"{_OURS}+bohb", f"{_OURS}+hyperband"),
    *(f"{_AVERAGE}+hyperband", f"{_NETWORK}+hyperband", "hyperband", "bohb", "asha", "tr_automl"),
)


def _interval(of: Mapping[str, float], form: str, factor: float = 1) -> str:
    return f"{factor * of['mean']:{form}} [{factor * of['low']:{form}}, {factor * of['high']:{form}}]"


def _accuracies(sweep: str, methods: Iterable[str]) -> dict[str, list[float]]:
    """Mean best accuracy in percent at every reported budget, by method, the best at the first budget first."""
    found = {}
    for method in methods:
        parts = [(part["budgets"], part["methods"][method]) for part in committed(sweep)["by_eta"].values()]
        found[method] = [
            100 * of_method["at_budgets"][str(budget)]["accuracy"]["mean"]
            for budgets, of_method in parts
            for budget in budgets
        ]
    return dict(sorted(found.items(), key=lambda item: (-round(item[1][0], 1), item[0])))


def _shares_of_room(sweep: str, found: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Which share of the way from the average ranking to the oracle each accuracy of ``_accuracies`` is, in percent."""
    result = committed(sweep)
    best = {family: [] for family in result["families"].values()}
    for task, family in result["families"].items():
        best[family].append(result["oracle"][task])
    oracle = 100 * mean(map(mean, best.values()))
    start = _accuracies(sweep, [f"{_AVERAGE}+alone"])[f"{_AVERAGE}+alone"]
    return {
        name: [100 * (value - low) / (oracle - low) for value, low in zip(values, start, strict=True)]
        for name, values in found.items()
    }


def _readme() -> str:
    found = _accuracies(_MAIN, _README)
    shares = _shares_of_room(_MAIN, found)
    rows = (
        [label, *(f"{found[method][place]:.1f} ({shares[method][place]:.0f} %)" for place in (0, 1, 3))]
        for method, label in _README.items()
    )
    return markdown(["method", "R", "2 R", "4.5 R"], rows)


def _accuracy(sweep: str) -> str:
    swept = committed(sweep)["by_eta"]["2"]["methods"]
    found = _accuracies(sweep, [name for name in _SHOWN[sweep] if name in swept])
    shares = _shares_of_room(sweep, found)
    rows = (
        [f"`{name}`", *(f"{v:.1f} ({share:.0f} %)" for v, share in zip(values, shares[name], strict=True))]
        for name, values in found.items()
    )
    return markdown(["method", "R", "2 R", "2.5 R", "4.5 R", "16 R"], rows)


def _epochs_to_rivals() -> str:
    rivals = ("hyperband", "bohb", f"{_AVERAGE}+hyperband")
    ratios = committed(_MAIN)["by_eta"]["2"]["epochs_to_rival"]
    rows = ([f"`{name}`", *(_interval(ratios[rival][name], ".2f") for rival in rivals)] for name in _TO_RIVAL)
    return markdown(["method", *(f"to `{rival}`" for rival in rivals)], rows)


def _rankers(block: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Rankers, the best AP@10 first; columns by what they show: see ``show``."""
    steady = block["on_steady_accuracies"]

    def show(name: str, row: Mapping[str, Any], what: str) -> str:
        of_steady = steady["rankers"][name] if steady else {}
        p_value = (of_steady or row)["p_value"]
        return {
            "ap": lambda: f"{100 * row['ap_at_10']:.1f} [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]",
            "regret": lambda: f"{row['regret_at_3']:.2f}",
            "to_best": lambda: f"{row['configs_to_best']:.1f}",
            "p": lambda: "" if row["p_value"] is None else f"{row['p_value']:.3f}",
            "steady_ap": lambda: _interval(of_steady["ap_at_10"], ".1f", 100),
            "steady_regret": lambda: f"{of_steady['regret_at_3']['mean']:.2f}",
            "steady_to_best": lambda: f"{of_steady['configs_to_best']['mean']:.1f}",
            "steady_p": lambda: "" if p_value is None else f"{p_value:.3f}",
            "seeds": lambda: str(row["seeds"]),
        }[what]()

    rankers = {name: row for name, row in block["rankers"].items() if name != "average"}
    rows = ([f"`{name}`", *(show(name, row, what) for what in columns)] for name, row in rankers.items())
    return markdown(["ranker", *columns.values()], rows)


_PROTOCOL = {"ap": "AP@10", "regret": "regret@3, points", "to_best": "configurations to the best", "p": "p"}
_STEADY = {"steady_ap": "steady: AP@10", "steady_regret": "regret@3, points"}


def _main_rankers() -> str:
    more = {"steady_to_best": "configurations to the best", "steady_p": "p", "seeds": "seeds"}
    return _rankers(committed("ap_at_10"), {**_PROTOCOL, **_STEADY, **more})


def _test_rankers() -> str:
    columns = {"ap": "AP@10", "regret": "regret@3, points", **_STEADY, "steady_p": "p", "seeds": "seeds"}
    return _rankers(committed("ap_at_10")["test_families"], columns)


def _first_rankers() -> str:
    return _rankers(committed("ap_at_10")["other_tables"]["shufflenet-v2-x1-v0"], {**_PROTOCOL, "seeds": "seeds"})


def _replay_speed() -> str:
    named = {
        "hyperband": "Hyperband, one full pass (84 trials, 800 epochs)",
        "hyperband_every_epoch": "the same, every epoch delivered",
        "hyperstar": "a ranking, then Hyperband",
        "hyperband_eta_3": "Hyperband, R = 27, eta = 3",
        "asha": "Ray's ASHA, 800 epochs, every epoch delivered",
        "asha_as_syne_tune": "the same on the table's own R = 16",
        "bohb": "BOHB (bound by hpbandster)",
    }
    rows = []
    for name, label in named.items():
        speed = committed("replay")["speeds"][name]
        runs = speed["runs_per_cpu_second"]
        rows.append([label, f"{runs:.{0 if runs >= 10 else 2}f}", f"{speed['trials_per_cpu_second']:.0f}"])
    theirs = f"{committed('replay')['syne_tune_trials_per_second']:.0f}"
    head = ["108 configurations x 32 epochs, one core", "runs per second", "trials per second"]
    return markdown(head, [*rows, ["Syne Tune's simulator, ASHA, R = 16", "", theirs]])


def _replay_faults() -> str:
    named = {
        "hyperband": "vanilla Hyperband, our scheduler",
        "hyperstar": "HyperSTAR, our scheduler",
        "bohb": "BOHB, our scheduler",
        "ray_hyperband_with_a_searcher": "Ray's HyperBandScheduler, with a searcher",
        "ray_hyperband_without": "Ray's HyperBandScheduler, all trials at once",
    }
    faults = committed("replay")["faults"]
    rows = ([label, str(faults[name]["cases"]), str(faults[name]["stalls"])] for name, label in named.items())
    return markdown(["", "cases", "runs that stall"], rows)


def _live() -> str:
    def last(runs: Sequence[Sequence[float]]) -> str:
        return f"{100 * sum(run[-1] for run in runs) / len(runs):.1f} ({len(runs)})"

    rows = (
        [task, f"`{method}`", last(runs), last(kinds["replay"][method])]
        for task, kinds in committed("live")["tasks"].items()
        for method, runs in kinds["live"].items()
    )
    return markdown(["task", "method", "live", "replay"], rows)


def _syne_tune() -> str:
    result = committed("syne_tune")
    rows = (
        [f"`{method}`", *(f"{100 * at['mean']:.1f}" for at in of.values())]
        for method, of in result["accuracy_at_budgets"].items()
    )
    return markdown([f"method ({result['seeds']} seeds)", "R", "2 R", "2.5 R", "4.5 R"], rows)


def _gain() -> str:
    result = committed("plus_attempts_mobilenet-v2-64px")
    kinds = {
        "mean accuracy (the paper's task-agnostic rival)": result["attempts"]["average accuracy"],
        "mean normalized score": result["attempts"]["average normalized score"],
        "mean of the three readings: better targets, no images": result["attempts"]["average of three readings"],
        "**HyperSTAR+**": result["chosen"],
        "the same with choices made nested, among all variants": result["nested"]["of all variants"],
        "the same, traits chosen nested one by one from all 36": result["nested"]["of traits one by one"],
    }
    forms = {"normalized_regret_at_1": ".2f", "normalized_regret_at_3": ".2f", "configs_to_best": ".1f"}
    rows = (
        [
            label,
            _interval(of["ap_at_10"], ".1f", 100),
            *(f"{of[name]['mean']:{form}}" for name, form in forms.items()),
            _interval(of["target_ap_at_10"], ".1f", 100),
            f"{of['target_regret']['mean']:.3f}",
        ]
        for label, of in kinds.items()
    )
    head = ["", "AP@10", "regret@1", "regret@3", "configurations to regret 0.05", "AP@10, steady"]
    return markdown([*head, "mean regret of the first ten, steady"], rows)


def _goals() -> str:
    of_both = [committed("ap_at_10")["goals"], committed("ap_at_10")["on_steady_accuracies"]["goals"]]
    named = {
        "average": "AP@10 above the better average ranking, points",
        "random_forest": "above random forest",
        "nearest_task": "above nearest task",
        "meta_data": "above meta-data",
        "global_mean": "above global mean",
    }
    rows = []
    for rival, label in named.items():
        found = [goals["ap10_above"][rival] for goals in of_both]
        bold = ["**" if goal["met"] else "" for goal in found]
        points = [f"{b}{_interval(goal['points'], '.1f')}{b}" for b, goal in zip(bold, found, strict=True)]
        rows.append([label, str(found[0]["wanted"]), *points])
    gap = of_both[0]["regret_at_3_gap_closed"]
    gained = f"gained {_interval(gap['gained'], '.1f')} points of a gap of {_interval(gap['gap'], '.1f')}"
    told = f"cannot be told: {gained}" if gap["share"] is None else f"{_interval(gap['share'], '.0f', 100)} %"
    wanted = f"{100 * gap['wanted']:.0f} %"
    rows.append(["share of the gap in regret@3 to the noise ceiling", wanted, told, "no ceiling"])
    ratios = [f"{100 * goals['configs_to_best']['ratio']:.0f} %" for goals in of_both]
    rows.append(["configurations to regret 0.05, share of the best rival's", "50 %", *ratios])
    return markdown(["", "wanted", "protocol's score", "steady scores"], rows)


def _description() -> str:
    result = committed("metadataset")
    return description_table([result, *result["other"].values()])


def _schedules() -> str:
    last, chosen = "last epoch", "best epoch, chosen on the other half"
    gain = f"{last} against the constant run's best, chosen on the other half"
    rows = []
    for name, found in committed("schedule")["schedules"].items():
        low, high = found[gain]["interval"]
        difference = f"{found[gain]['mean']:+.1f} [{low:+.1f}, {high:+.1f}]"
        rows.append([name, f"{found[last]:.1f}", f"{found[chosen]:.1f}", difference])
    return markdown(["", last, "its best epoch", "last epoch - best of constant"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "methods": _readme,
    "replay-speed": _replay_speed,
    "replay-faults": _replay_faults,
    "rankers": _main_rankers,
    "race-all": lambda: race(committed("budgets")["race_of_all_families"]),
    "race-development": lambda: race(committed("budgets")["race"]),
    "race-test": lambda: race(committed("budgets")["test_families"]["race"]),
    "race-seconds": lambda: race(committed("budgets")["race_of_all_families"], "above_at_equal_seconds"),
    "race-goals": race_goals,
    "epochs": lambda: spent("accuracy"),
    "hours": lambda: spent("accuracy_at_equal_seconds"),
    "choosing": choosing,
    "accuracy": lambda: _accuracy(_MAIN),
    "epochs-to-rivals": _epochs_to_rivals,
    "first-rankers": _first_rankers,
    "first-accuracy": lambda: _accuracy(_FIRST),
    "test-rankers": _test_rankers,
    "test-accuracy": lambda: _accuracy(_TEST),
    "live": _live,
    "syne-tune": _syne_tune,
    "gain": _gain,
    "goals": _goals,
    "description": _description,
    "schedules": _schedules,
    "peers-accuracy": peers_accuracy,
    "peers-syne-tune": peers_syne_tune,
    "peers-suggest": peers_suggest,
    "cards": cards,
    **SIZES_TABLES,
    **SHARE_TABLES,
    "any-space": any_space,
    "other-table": other_table,
    "learning": learning,
    "any-space-search": search,
    "any-space-goals": search_goals,
}


def filled(text: str) -> str:
    """A page with every table as the committed JSON gives it."""
    return _PLACE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[4]}", text)


def write_docs() -> None:
    """Writes the tables into the README and the docs."""
    committed.cache_clear()
    for path in DOCS:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote the tables of {path.relative_to(ROOT)}")
