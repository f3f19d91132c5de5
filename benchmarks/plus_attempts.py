"""Everything that was tried for HyperSTAR+, measured leave-family-out on the development families, failures included.

    python benchmarks/plus_attempts.py

It needs no image: traits and mean embeddings of the tasks are in ``metadata/`` (``task_traits.py`` computes them). The
test families of docs/protocol.md take part in neither the training nor the judging. ``nested`` shows what choosing
among the variants costs: for each family the variant is chosen on the others alone, and only then judged on it.
P-values are of single comparisons, not adjusted for their number.
"""

import argparse
import copy
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import about_table, environment, result_path, scores_path, write_json
from _plus_variants import LAST, MORE_READINGS, NEED_HALF_B, OTHER_CURVES, STEADY, Data, Variant, predict
from scoreboard.families import development_families
from scoreboard.more_traits import ALL_TRAITS
from task_traits import EMBEDDINGS_FILE, TRAITS_FILE

from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.comparison.statistics import bootstrap_mean, paired_p_value
from hyperstar_tune.metrics import (
    average_precision,
    best_so_far,
    configs_to_best,
    ndcg,
    normalize_scores,
    normalized_regret,
    ranking_of,
)
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.targets import default_curve
from hyperstar_tune.tables.disagreement import size_of
from hyperstar_tune.tables.metadataset import MetaDataset

COUNTS = ("log_images", "log_classes", "log_images_per_class")
PROBES = tuple(f"probe_{depth}" for depth in ("stage2", "stage3", "stage4", "conv5"))
GAINS = ("probe_gain_images", "probe_gain_depth")
CHOSEN = PlusSettings()
BASE = CHOSEN.traits
STRUCTURES = {
    "layers x rate and layers x augmentation": (("layers", "lr"), ("layers", "augmentation")),
    "pairs of parameters": tuple(combinations(("layers", "lr", "optimizer", "augmentation"), 2)),
}
MEASURES = (
    *("ap_at_10", "ndcg_at_10", "normalized_regret_at_1", "normalized_regret_at_3", "configs_to_best"),
    *("target_ap_at_10", "target_regret", "quality"),
)
UNTRAINED = ("random", "tr_automl")  # draw other configurations with each seed
LOWER = ("normalized_regret_at_1", "normalized_regret_at_3", "configs_to_best", "target_regret")


def attempts(curve: str, has_half_b: bool) -> dict[str, Variant]:
    """Named variants, in the order of the ideas; ``curve`` is what most of them read off a learning curve."""
    v = Variant
    found = {
        "average accuracy": v("rival", readings=()),
        "average normalized score": v("rival", readings=("accuracy",)),
    }
    for reading in MORE_READINGS:
        if reading != "accuracy":
            found[f"average of {reading}"] = v("c", readings=(reading,))
    found |= {
        "average of three readings": v("c, e"),
        "average of three readings, incomplete tasks too": v("c, e, f", incomplete=True),
        "average normalized score, incomplete tasks too": v("f", readings=("accuracy",), incomplete=True),
    }
    groups = {
        "counts": COUNTS,
        "probes of four depths": PROBES,
        "counts and probes": (*COUNTS, *PROBES),
        "deep probe": ("probe_deep",),
        "gain by images": ("probe_gain_images",),
        "gain by depth": ("probe_gain_depth",),
        "pixels": ("brightness", "contrast", "saturation", "sharpness"),
        "mirror": ("mirror_features", "mirror_probe"),
        "separation and LogME": ("separation_conv5", "logme_conv5"),
        "deep probe and gain by images": ("probe_deep", "probe_gain_images"),
        "deep probe and gain by depth": ("probe_deep", "probe_gain_depth"),
        "both gains": GAINS,
        "deep probe and both gains": ("probe_deep", *GAINS),
        "deep probe, gain by images, images": ("probe_deep", "probe_gain_images", "log_images"),
        "both gains, images": (*GAINS, "log_images"),
        "deep probe, both gains, images": ("probe_deep", *GAINS, "log_images"),
        "deep probe, both gains, classes": ("probe_deep", *GAINS, "log_classes"),
        "all traits": ALL_TRAITS,
    }
    found |= {f"residual from {name}": v("a, b", traits=traits) for name, traits in groups.items()}
    for n in (2, 4, 8):
        found[f"residual from {n} components of the image embedding"] = v("a", embedding=n)
        found[f"residual from the chosen traits and {n} components"] = v("a, b", traits=BASE, embedding=n)
    for name, traits in (("chosen traits", BASE), ("all traits", ALL_TRAITS)):
        for penalty in (2.0, 10.0, 20.0):
            found[f"{name}, penalty {penalty:g}"] = v("a", traits=traits, penalty=penalty)
        for rank in (2, 4):
            found[f"{name}, residuals of rank {rank}"] = v("a", traits=traits, rank=rank)
        for length in (1.0, 2.0):
            found[f"{name}, kernel of length {length:g}"] = v("a", traits=traits, length=length, penalty=2.0)
        for how, structure in STRUCTURES.items():
            found[f"{name}, residuals held to {how}"] = v("a", traits=traits, structure=structure)
            found[f"{name}, residuals held and average shrunk to {how}"] = v(
                "a", traits=traits, structure=structure, shrunk=True
            )
        found[f"{name}, smoothed over configurations"] = v("a", traits=traits, smoothed=True)
        found[f"{name}, incomplete tasks too"] = v("f", traits=traits, incomplete=True)
    for how, structure in STRUCTURES.items():
        found[f"average of three readings, shrunk to {how}"] = v("c", structure=structure, shrunk=True)
    for reading in MORE_READINGS:
        found[f"chosen traits, {reading} alone"] = v("c", traits=BASE, readings=(reading,))
    found = {name: of if of.idea == "rival" else replace(of, curve=curve) for name, of in found.items()}
    for other in (LAST, STEADY, *OTHER_CURVES):
        if other != curve and (has_half_b or other not in NEED_HALF_B):
            found[f"average of three readings of the {other}"] = v("c", curve=other)
            found[f"chosen traits, {other}"] = v("c", traits=BASE, curve=other)
    return found


JOINT = {  # too slow to be chosen among
    f"one Gaussian process over tasks and configurations, residual {variance:g}": Variant(
        "a", traits=traits, joint=variance
    )
    for traits, variance in (((*COUNTS, *PROBES), 0.5), (BASE, 0.1))
}


def judged(half_a: np.ndarray, half_b: np.ndarray, target: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """All measures of one ranking, as in docs/protocol.md, and its quality, by which variants are chosen.

    Quality is measured on the scores that are learned. Where the learning rate stays constant, these are less noisy
    than the score of the protocol; elsewhere they are the same.
    """
    order = ranking_of(scores)
    values = {
        "ap_at_10": average_precision(half_a, order),
        "ndcg_at_10": ndcg(half_a, order),
        "normalized_regret_at_1": normalized_regret(half_b, order, 1),
        "normalized_regret_at_3": normalized_regret(half_b, order, 3),
        "configs_to_best": float(configs_to_best(half_b, order)),
        "target_ap_at_10": average_precision(target, order),
    }
    span = target.max() - np.median(target)
    regrets = (target.max() - best_so_far(target, order)[:10]) / span if span > 0 else np.zeros(10)
    values["target_regret"] = float(np.minimum(regrets, 1).mean())
    return values | {"quality": values["target_ap_at_10"] - values["target_regret"]}


class Judge:
    """Leave-family-out measures of variants on the complete tasks of a table."""

    def __init__(self, data: Data, curve: str) -> None:
        self.data, self.curve = data, curve
        self.targets = data.read(curve)
        self.families = [f for f in data.table.families if data.complete[data.families == f].any()]
        self._known: dict[tuple[Variant, frozenset[str], str], dict[str, float]] = {}

    def family(self, variant: Variant, family: str, also_held_out: str = "") -> dict[str, float]:
        """Means over the tasks of a family, learned from the other families, of which one may be held out too."""
        held_out = frozenset({family, also_held_out} - {""})
        key = (variant, held_out, family)
        if key not in self._known:
            tasks = np.flatnonzero((self.data.families == family) & self.data.complete)
            scores = predict(self.data, variant, held_out, tasks.tolist())
            rows = [self.task(int(i), of_task) for i, of_task in zip(tasks, scores, strict=True)]
            self._known[key] = {name: float(np.mean([row[name] for row in rows])) for name in MEASURES}
        return self._known[key]

    def task(self, place: int, scores: np.ndarray) -> dict[str, float]:
        """Measures of predicted scores [H] on one task."""
        return judged(self.data.accuracies[place], self.data.half_b[place], self.targets[place], scores)

    def all(self, variant: Variant) -> pd.DataFrame:
        """Measures by family."""
        return pd.DataFrame([self.family(variant, family) for family in self.families], self.families)

    def quality(self, variant: Variant, held_out: str = "") -> float:
        """Mean quality over the families, without one of them altogether."""
        return float(np.mean([self.family(variant, f, held_out)["quality"] for f in self.families if f != held_out]))


def forward(judge: Judge, held_out: str, n_traits: int = 3) -> Variant:
    """Traits added one by one as long as quality rises, on all families but one."""
    best = Variant("b, traits chosen one by one", curve=judge.curve)
    for _ in range(n_traits):
        wider = [replace(best, traits=(*best.traits, name)) for name in ALL_TRAITS if name not in best.traits]
        winner = max(wider, key=lambda variant: judge.quality(variant, held_out))
        if judge.quality(winner, held_out) <= judge.quality(best, held_out):
            break
        best = winner
    return best


def dealt(data: Data, rng: np.random.Generator) -> pd.DataFrame:
    """Deals each family the traits of another; a task gets those of a task of the same size if there is one."""
    other = dict(zip(data.table.families, rng.permutation(np.array(data.table.families)), strict=True))
    sizes = [size_of(name) for name in data.names]
    rows = []
    for family, size in zip(data.families, sizes, strict=True):
        theirs = np.flatnonzero(data.families == other[family])
        rows.append(next((row for row in theirs if sizes[row] == size), theirs[0]))
    return data.traits.iloc[rows].set_axis(data.traits.index)


def placebo(data: Data, variant: Variant, n: int = 200) -> dict[str, float]:
    """Quality of a variant whose traits were dealt to the families at random, so that they mean nothing."""
    actual = Judge(data, variant.curve).quality(variant)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n):
        shuffled = copy.copy(data)
        shuffled.traits = dealt(data, rng)
        found.append(Judge(shuffled, variant.curve).quality(variant))
    return {
        "quality": round(actual, 5),
        "mean_of_shuffled": round(float(np.mean(found)), 5),
        "best_of_shuffled": round(float(np.max(found)), 5),
        "share_of_shuffled_at_least_as_good": round((1 + sum(q >= actual for q in found)) / (n + 1), 5),
    }


def of_seeds(judge: Judge, rivals: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Rankers that are trained from a seed (``loo_scores.py``): one seed on average, and the mean over all of them."""
    data = judge.data
    path = scores_path(data.table_name)
    if not path.exists():
        return {}
    loo = LooScores.load(path, data.table.configs)
    tasks = {data.names[i]: i for i in np.flatnonzero(data.complete)}
    found = {}
    for ranker in loo.rankers:
        n_seeds = min(loo.n_seeds(ranker, task) for task in tasks)
        if n_seeds < 2 or ranker in UNTRAINED:
            continue
        alone, together = [], []
        for task, place in tasks.items():
            scores = np.stack([normalize_scores(loo.scores(ranker, task, seed)) for seed in range(n_seeds)])
            alone.append(pd.DataFrame([judge.task(place, of_seed) for of_seed in scores]).mean())
            together.append(pd.Series(judge.task(place, scores.mean(axis=0))))
        families = [data.families[place] for place in tasks.values()]
        found[ranker] = {"seeds": n_seeds} | {
            kind: row(pd.DataFrame(rows).groupby(families).mean().loc[judge.families], rivals)
            for kind, rows in (("one_seed", alone), ("all_seeds", together))
        }
    return found


def row(values: pd.DataFrame, rivals: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Means with intervals, and against the better average ranking by each measure."""
    found: dict[str, Any] = {}
    for measure in MEASURES:
        sign = -1 if measure in LOWER else 1
        rival = max(rivals, key=lambda name: sign * rivals[name][measure].mean())
        gain = sign * (values[measure] - rivals[rival][measure])
        found[measure] = bootstrap_mean(values[measure]).to_json() | {
            "better_than": rival,
            "by": bootstrap_mean(gain).to_json(),
            "p_value": round(paired_p_value(values[measure], rivals[rival][measure]), 5),
        }
    return found | {"by_family": {f: {k: round(x, 4) for k, x in r.items()} for f, r in values.T.items()}}


def main() -> None:
    """Measures everything and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path(__file__).parent / "metadata" / "shufflenet-v2-x1-v0")
    parser.add_argument("--out", type=Path, help="by default plus_attempts.json, or plus_attempts_TABLE.json")
    parser.add_argument("--skip-slow", action="store_true", help="without the joint Gaussian process")
    arguments = parser.parse_args()
    table = MetaDataset.load(arguments.table)
    table = table.only(development_families(table))
    data = Data(table, arguments.table.name, pd.read_parquet(TRAITS_FILE), pd.read_parquet(EMBEDDINGS_FILE))
    curve = {"last": LAST, "steady": STEADY}[default_curve(table)]
    judge, variants = Judge(data, curve), attempts(curve, data.has_half_b)
    measured = {name: judge.all(variant) for name, variant in variants.items()}
    rivals = {name: measured[name] for name in variants if variants[name].idea == "rival"}
    joint = {} if arguments.skip_slow else {name: replace(variant, curve=curve) for name, variant in JOINT.items()}
    slow = {name: judge.all(variant) for name, variant in joint.items()}
    log = {}
    for name, values in (measured | slow).items():
        log[name] = {"settings": asdict((variants | joint)[name])} | row(values, rivals)
        print(line(name, values), flush=True)
    candidates = {name: variant for name, variant in variants.items() if variant.idea != "rival"}
    nested, choices = {}, {}

    def best_without(family: str) -> str:
        return max(candidates, key=lambda name: judge.quality(candidates[name], family))

    for kind, choose in (
        ("of all variants", lambda family: candidates[best_without(family)]),
        ("of traits one by one", lambda family: forward(judge, family)),
    ):
        picked = {family: choose(family) for family in judge.families}
        values = pd.DataFrame([judge.family(picked[f], f) for f in judge.families], judge.families)
        names = {variant: name for name, variant in candidates.items()}
        choices[kind] = {f: names.get(variant, " + ".join(variant.traits)) for f, variant in picked.items()}
        nested[kind] = {"chosen": choices[kind]} | row(values, rivals)
        print(line(f"nested choice {kind}", values), flush=True)
    best = best_without("")
    chosen = Variant("chosen", CHOSEN.readings, CHOSEN.traits, CHOSEN.penalty, CHOSEN.incomplete, curve=curve)
    chance = placebo(data, chosen)
    print(f"traits dealt at random: {chance}")
    print(f"best by quality: {best}; one by one: {forward(judge, '').traits}")
    write_json(
        arguments.out or result_path("plus_attempts", arguments.table.name),
        environment()
        | {
            "table": about_table(table, arguments.table),
            "judged_on": {"families": judge.families, "tasks": [data.names[i] for i in np.flatnonzero(data.complete)]},
            "target": curve,
            "quality": "AP@10 less the mean normalized regret (at most 1) over k = 1..10, both on the target",
            "chosen": asdict(CHOSEN) | row(judge.all(chosen), rivals),
            "placebo": chance,
            "best_by_quality": best,
            "one_by_one": list(forward(judge, "").traits),
            "attempts": log,
            "nested": nested,
            "seeds": of_seeds(judge, rivals),
        },
    )


def line(name: str, values: pd.DataFrame) -> str:
    """A row of the printed table."""
    ap, r1, r3 = (bootstrap_mean(values[m]) for m in ("ap_at_10", "normalized_regret_at_1", "normalized_regret_at_3"))
    return (
        f"{name:66s} AP@10 {100 * ap.mean:5.1f} [{100 * ap.low:4.1f}, {100 * ap.high:4.1f}]  regret@1 {r1.mean:.3f}  "
        f"@3 {r3.mean:.3f} [{r3.low:.3f}, {r3.high:.3f}]  to best {values['configs_to_best'].mean():4.1f}  "
        f"quality {values['quality'].mean():.3f}"
    )


if __name__ == "__main__":
    main()
