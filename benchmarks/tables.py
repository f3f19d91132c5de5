"""All tables and figures of rankers and budgets, from committed data alone: no image and no network.

    python benchmarks/tables.py
    python benchmarks/tables.py --test-families            # or: make tables
    python benchmarks/tables.py --docs                     # only the tables in the README and docs/

Reads every table in benchmarks/metadata with leave-family-out scores beside it (made by loo_scores.py), and the sweeps
in benchmarks/results (made by sweep.py; its replays are not run here). Writes ap_at_10.json, warm_start.json and
budgets.json and their figures, draws those of the sweeps, and writes the tables of the README and docs/. What was made
from another state of a table is left out. The first table of --tables with enough families, or with a sweep, is at the
top of each file, the others are under ``other_tables``. The test families of docs/protocol.md are scored once, at the
end: their block is null unless --test-families is given.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from _common import RESULTS, ROOT, about_table, environment, result_path, scores_path, stale_rankers, write_json
from scoreboard.budget_table import budget_table
from scoreboard.doc_tables import write_docs
from scoreboard.families import COSTLY, TEST_FAMILIES, development_families, scored_part
from scoreboard.figures import draw_critical_difference, draw_precision, draw_warm_start
from scoreboard.race_table import RACE, race_table
from scoreboard.tables import OURS, ranker_table
from scoreboard.warm_start import warm_start
from sweep import draw as draw_sweep
from sweep import read_summary, sweep_path

from hyperstar_tune.comparison.judging import true_scores
from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.comparison.statistics import MIN_FAMILIES
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.tables.metadataset import MetaDataset

TABLES = ("mobilenet-v2-64px", "shufflenet-v2-x1-v0")
NOT_YET = "scored once, at the end, with --test-families"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES), help="names in benchmarks/metadata, the main one first")
    parser.add_argument("--test-families", action="store_true", help="score the test families too: once, at the end")
    parser.add_argument("--docs", action="store_true", help="only write the tables of the docs, from the JSON files")
    arguments = parser.parse_args()
    if not arguments.docs:
        score(arguments.tables.split(","), arguments.test_families)
    write_docs()


def score(names: list[str], with_test: bool) -> None:
    """Makes the JSON files and their figures."""
    found, left_out = {}, {}
    for name in names:
        if not scores_path(name).exists():
            left_out[name] = "no leave-family-out scores; run benchmarks/loo_scores.py"
            continue
        table = MetaDataset.load(ROOT / "metadata" / name)
        loo = Scores(name, table)
        n_families = families_scored(table, loo)
        if n_families < MIN_FAMILIES:
            left_out[name] = f"{n_families} development families with scores of all rankers, fewer than {MIN_FAMILIES}"
            continue
        found[name] = (table, loo)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    if not found:
        raise SystemExit("no table has scores of enough families; run benchmarks/loo_scores.py")
    ranking_tables(found, left_out, with_test)
    warm_starts(found, with_test)
    budgets(names, with_test)


class Scores:
    """Leave-family-out scores of a table, without rankers whose scores were made from another state of it."""

    def __init__(self, name: str, table: MetaDataset) -> None:
        path = scores_path(name)
        loo = LooScores.load(path, table.configs)
        development = table.only(development_families(table))
        self.stale = {
            "development families": stale_rankers(path, development, "development families"),
            "test families": stale_rankers(path, table, "test families"),
        }
        self.of = {block: loo.without(stale) for block, stale in self.stale.items()}
        for block, stale in self.stale.items():
            for ranker, reason in stale.items():
                print(f"left out: {name}, {block}: {ranker}: {reason}")


def families_scored(table: MetaDataset, loo: Scores) -> int:
    """Development families that a table of rankers can be made of."""
    try:
        truth, _ = scored_part(loo.of["development families"], true_scores(table, development_families(table)))
    except MetaDatasetError:
        return 0
    return len(set(truth.families))


def blocks(make: Any, table: MetaDataset, loo: Scores, with_test: bool) -> dict[str, Any]:
    """What ``make`` says of the development families and, if wanted, of the test families."""
    block = "development families"
    result = make(table, loo.of[block], development_families(table)) | {"block": block, "stale": loo.stale[block]}
    if not with_test:
        return result | {"test_families": None, "no_test_families_because": NOT_YET}
    block = "test families"
    try:
        test = make(table, loo.of[block], [family for family in table.families if family in TEST_FAMILIES])
        test |= {"stale": loo.stale[block]}
    except MetaDatasetError as error:
        print(f"test families: {error}")
        return result | {"test_families": None, "no_test_families_because": str(error)}
    return result | {"test_families": test}


def ranking_tables(found: dict[str, tuple[MetaDataset, Scores]], left_out: dict[str, str], with_test: bool) -> None:
    parts = {}
    for name, (table, loo) in found.items():
        part = blocks(ranker_table, table, loo, with_test) | costly_rankers(table, loo)
        parts[name] = {"table": about_table(table, ROOT / "metadata" / name)} | part | chosen_nested(name)
        title = f"{name}: {part['families']} development families"
        draw_precision(part, figure(found, name, "ap_at_10"), title)
        if part["critical_difference"]:
            draw_critical_difference(part, figure(found, name, "critical_difference"), title)
        show(title, part)
        if part["test_families"]:
            show(f"{name}: test families", part["test_families"])
    write_json(RESULTS / "ap_at_10.json", environment() | first_and_others(parts) | {"tables_left_out": left_out})


def costly_rankers(table: MetaDataset, loo: Scores) -> dict[str, Any]:
    """Rankers that ranked some families alone, because they take hours, beside all others on these."""
    scores, parts = loo.of["development families"], {}
    truth = true_scores(table, development_families(table))
    for ranker in COSTLY:
        lacking = {f for t, f in zip(truth.tasks, truth.families, strict=True) if not scores.n_seeds(ranker, t)}
        having = [family for family in dict.fromkeys(truth.families) if family not in lacking]
        if ranker in scores.rankers and lacking and having:
            parts[f"{ranker}_on_some_families"] = ranker_table(table, scores, having)
            show(f"{ranker} on {len(having)} families", parts[f"{ranker}_on_some_families"])
    return parts


def chosen_nested(name: str) -> dict[str, Any]:
    """Our ranker's variant was chosen on the development families: what it is worth where the choice is nested."""
    path = result_path("plus_attempts", name)
    nested = json.loads(path.read_text(encoding="utf-8"))["nested"] if path.exists() else None
    return {f"{OURS}_chosen_nested": nested}


def warm_starts(found: dict[str, tuple[MetaDataset, Scores]], with_test: bool) -> None:
    parts = {}
    for name, (table, loo) in found.items():
        part = blocks(warm_start, table, loo, with_test)
        parts[name] = {"table": about_table(table, ROOT / "metadata" / name)} | part
        title = f"{name}: {part['families']} development families (Figure 5a)"
        draw_warm_start(part, figure(found, name, "warm_start"), title=title)
    write_json(RESULTS / "warm_start.json", environment() | first_and_others(parts), lines=False)


def budgets(names: list[str], with_test: bool) -> None:
    sweeps = current_sweeps(names, "development families")
    if not sweeps:
        print("no sweep of any table: budgets.json is left as it is; run benchmarks/sweep.py")
        return
    test = current_sweeps(names, "test families") if with_test else {}
    parts = {
        name: budgets_of(summary)
        | budgets_of_test_families(test.get(name), with_test)
        | pooled(summary, test.get(name))
        for name, summary in sweeps.items()
    }
    for block, swept in (("development families", sweeps), ("test families", test)):
        for name in swept:
            draw_sweep(name, block)
    write_json(RESULTS / "budgets.json", environment() | first_and_others(parts))
    for name, part in parts.items():
        for key, ratio in part["epochs_to_target_ratio"].items():
            gain = part["smallest_budget_gain_points"][key]
            print(
                f"{name}, {part['method']} {key}: {interval(ratio, '.2f')} of the epochs, {interval(gain, '+.2f')} "
                "points at the smallest budget"
            )
        show_race(name, part["race_of_all_families"] or part["race"])


def show_race(name: str, race: dict[str, Any] | None) -> None:
    if race is None:
        return
    print(f"\n{name}, {race['families']} families: the race above, points, at budgets {race['budgets']}")
    for rival, points in race["above"].items():
        late = race["above_at_equal_seconds"].get(rival, {})
        print(f"  {rival:24s} {'  '.join(interval(point, '+.1f') for point in points.values())}")
        print(f"  {'at equal seconds':>24s} {'  '.join(interval(point, '+.1f') for point in late.values()) or '-'}")
    for rival, ratio in race["epochs_to_final_accuracy"].items():
        print(f"  epochs to the final accuracy of {rival}: {interval(ratio, '.3f')}")
    for goal, found in race["goals"].items():
        print(f"  {'met    ' if found['met'] else 'not met'} {goal}")


def current_sweeps(names: list[str], block: str) -> dict[str, dict[str, Any]]:
    """Sweeps over a block of families of the tables as they are; seeds beyond the first do not enter them."""
    found = {}
    for name in names:
        path = ROOT / "metadata" / name
        if not sweep_path(name, block).exists():
            continue
        summary = read_summary(sweep_path(name, block))
        table = MetaDataset.load(path)
        now = about_table(table if block == "test families" else table.only(development_families(table)), path)
        if {key: summary["table"].get(key) for key in now} == now:
            found[name] = summary
        else:
            print(f"left out: {name}, {block}: swept in another state of the table; run benchmarks/sweep.py")
    return found


def budgets_of(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "table": summary["table"],
        "sweep": {"command": summary["command"], "versions": summary["versions"]},
        "block": summary["block"],
        **budget_table(summary, list(summary["families"].values()), (OURS, "bm_both")),
        "race": race_of(summary),
    }


def race_of(*summaries: dict[str, Any]) -> dict[str, Any] | None:
    """What the race gains, over the families of all sweeps together; None if one has no race."""
    raced = all(RACE in summary["by_eta"]["2"]["methods"] for summary in summaries)
    return race_table(summaries) if raced else None


def pooled(development: dict[str, Any], test: dict[str, Any] | None) -> dict[str, Any]:
    return {"race_of_all_families": None if test is None else race_of(development, test)}


def budgets_of_test_families(summary: dict[str, Any] | None, wanted: bool) -> dict[str, Any]:
    if summary is not None:
        return {"test_families": budgets_of(summary)}
    why = "no sweep of them; run benchmarks/sweep.py --test-families" if wanted else NOT_YET
    return {"test_families": None, "no_test_families_because": why}


def interval(of: dict[str, float], form: str) -> str:
    return f"{of['mean']:{form}} [{of['ci_low']:{form}}, {of['ci_high']:{form}}]"


def figure(found: dict[str, Any], name: str, kind: str) -> Path:
    return RESULTS / (f"{kind}.png" if name == next(iter(found)) else f"{kind}_{name}.png")


def first_and_others(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first, *others = parts
    return parts[first] | {"other_tables": {name: parts[name] for name in others}}


def show(title: str, block: dict[str, Any]) -> None:
    unknown = block["no_noise_ceiling_because"]
    top = f"unknown ({unknown})" if unknown else "below, beside rankers judged like it"
    without = block["left_out"]["complete_tasks"]
    more = f" ({without} more are complete, but lack scores)" if without else ""
    print(f"\n{title}, {block['tasks']} tasks{more}; chance {100 * block['chance_ap10']:.1f}, noise ceiling {top}")
    print(
        f"{'ranker':20s} AP@10 [95 %]          NDCG  Spearman  regret@1 @3 @10 (points)   to best   p    p(r@3)  seeds"
    )
    for name, row in block["rankers"].items():
        p, p_regret = ("" if row[key] is None else f"{row[key]:.3f}" for key in ("p_value", "p_value_regret_at_3"))
        print(
            f"{name:20s} {100 * row['ap_at_10']:5.1f} [{100 * row['ci_low']:4.1f}, {100 * row['ci_high']:4.1f}]   "
            f"{row['ndcg_at_10']:.3f}   {row['spearman']:.3f}   {row['regret_at_1']:5.2f} {row['regret_at_3']:5.2f} "
            f"{row['regret_at_10']:5.2f}   {row['configs_to_best']:6.1f}   {p:5s} {p_regret:5s}  {row['seeds']}"
        )
    steady = block["on_steady_accuracies"]
    if steady:
        print("the same on steady accuracies: AP@10, r@3, normalized r@3")
        for name, row in steady["rankers"].items():
            means = [row[measure]["mean"] for measure in ("ap_at_10", "regret_at_3", "normalized_regret_at_3")]
            print(f"{name:20s} {100 * means[0]:5.1f}  {means[1]:5.2f}  {means[2]:5.3f}")
    repeated = block["diagnosis"]["noise_ceiling"]
    if repeated:
        rows = {"noise ceiling": repeated, "one seed": repeated["one_seed"], **repeated["rankers"]}
        print(
            f"the same on half B of one seed, {repeated['tasks']} tasks of {repeated['families']} families: AP@10, r@3"
        )
        for name, row in rows.items():
            means = (row["measures"][measure]["mean"] for measure in ("ap_at_10", "regret_at_3"))
            print(f"{name:20s} {100 * next(means):5.1f}  {next(means):5.2f}")


if __name__ == "__main__":
    main()
