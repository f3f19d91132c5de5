"""Compares models that rank configurations which no table has, on configurations and families that were left out.

    python benchmarks/any_space.py

It needs no image: traits of the tasks are in ``metadata/``. A task is ranked by a model that was learned without its
family. ``measured`` ranks the configurations of the table. ``left_out`` ranks a third of them by a model that learned
from the other two thirds alone, so that it must carry over between learning rates and between combinations. Settings
of a model are chosen on all other families. Seconds are those of one core's process.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _any_space_models import MODELS, Floats, Model
from _common import RESULTS, ROOT, about_table, environment, write_json
from filelock import FileLock
from plus_attempts import judged
from scipy.stats import spearmanr
from task_traits import TRAITS_FILE

from hyperstar_tune.comparison.statistics import bootstrap_mean
from hyperstar_tune.predictor.any_space import OTHER_TABLES, Measured, basis_of, fit_any_space, kernel_for
from hyperstar_tune.predictor.any_space_predictor import AnySpacePredictor
from hyperstar_tune.predictor.encoding import SharedEncoding
from hyperstar_tune.predictor.plus import PlusSettings
from hyperstar_tune.predictor.targets import CURVES, default_curve, plus_targets
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

TABLES = ("mobilenet-v2-64px", "shufflenet-v2-x1-v0")
MEASURES = ("target_ap_at_10", "target_regret", "quality", "rank_correlation", "points_at_3")
CHOSEN = "any_space"
SETTINGS = PlusSettings()
THIRDS = 3
MILLION = 1_000_000


class World:
    """The complete tasks of a table, and what models learn of them and are judged by."""

    def __init__(self, name: str, traits: pd.DataFrame, encoding: SharedEncoding | None = None) -> None:
        table = MetaDataset.load(ROOT / "metadata" / name)
        self.table = table.subset(np.flatnonzero(table.complete))
        curve = default_curve(self.table)
        _, _, targets = plus_targets(self.table, curve, SETTINGS.readings)
        self.encoding = encoding or SharedEncoding([self.table.space], {})
        of_tasks = traits.loc[self.table.tasks["name"], list(SETTINGS.traits)].to_numpy(dtype=np.float64)
        families = tuple(self.table.tasks["family"].astype(str))
        encoded = self.encoding.encode(self.table.configs)
        self.measured = Measured(targets, of_tasks, families, encoded, self.encoding.widths)
        self.truth = CURVES[curve](self.table)  # [T, H], what rankings are judged by
        self.families = list(self.table.families)
        self.thirds = np.random.default_rng(0).permutation(len(self.table.configs)) % THIRDS

    def without(self, family: str, third: int | None = None) -> Measured:
        """What a model may learn from where a family, and a third of the configurations, are judged."""
        others = np.array([other != family for other in self.measured.families])
        return self.measured.part(others, self.thirds != third)

    def judge(self, family: str, third: int | None, scores: Floats) -> pd.DataFrame:
        """Measures of scores of a family's tasks, one row per task."""
        new = slice(None) if third is None else self.thirds == third
        truth = self.truth[[other == family for other in self.measured.families]][:, new]
        return pd.DataFrame([of_task(*pair) for pair in zip(truth, scores, strict=True)])


def of_task(truth: Floats, scores: Floats) -> dict[str, float]:
    """Measures of the scores of one task's configurations."""
    best = truth.max() - truth[np.argsort(-scores, kind="stable")[:3]].max()
    correlation = float(spearmanr(truth, scores).statistic) if np.ptp(scores) > 0 else 0.0
    known = judged(truth, truth, truth, scores)
    return {name: known[name] for name in MEASURES[:3]} | {
        "rank_correlation": correlation,
        "points_at_3": 100 * float(best),
    }


def measured_by(world: World, model: Model, settings: dict[str, Any], how: str) -> pd.DataFrame:
    """Measures by family, of one setting of a model."""
    rows = {}
    for family in world.families:
        mine = np.array([other == family for other in world.measured.families])
        traits, parts = world.measured.traits[mine], []
        for third in (None,) if how == "measured" else range(THIRDS):
            scorer = model.fit(world.without(family, third), **settings)
            new = np.ones(len(world.thirds), dtype=bool) if third is None else world.thirds == third
            parts.append(world.judge(family, third, scorer(traits, world.measured.encoded[new])))
        rows[family] = pd.concat(parts).mean()
    return pd.DataFrame(rows).T


def chosen_nested(world: World, model: Model) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Measures by family, with the setting that is best on all other families, and how often each was chosen."""
    found = [
        {how: measured_by(world, model, dict(settings), how) for how in ("measured", "left_out")}
        for settings in model.settings
    ]
    quality = np.array([(one["measured"]["quality"] + one["left_out"]["quality"]) / 2 for one in found])  # [S, F]
    best = np.array([np.delete(quality, place, axis=1).mean(axis=1).argmax() for place in range(quality.shape[1])])
    values = {
        how: pd.DataFrame(
            [found[best[place]][how].loc[family] for place, family in enumerate(world.families)], world.families
        )
        for how in ("measured", "left_out")
    }
    return values, {str(dict(s)): int((best == place).sum()) for place, s in enumerate(model.settings)}


def with_other_table(world: World, other: World, share: float) -> pd.DataFrame:
    """Measures by family where the tasks of another table and network count too, by a correlation with this one."""
    rows = {}
    for family in world.families:
        mine = np.array([name == family for name in world.measured.families])
        parts = []
        for third in range(THIRDS):
            known, theirs = world.without(family, third), other.without(family)
            kernel = kernel_for([known, theirs], SETTINGS.penalty, share)
            model = fit_any_space([known, theirs], SETTINGS.penalty, kernel, share)
            basis = basis_of(
                kernel,
                world.measured.encoded[world.thirds == third],
                np.concatenate([known.encoded, theirs.encoded]),
            )
            scores = np.stack([basis @ model.scores(traits) for traits in world.measured.traits[mine]])
            parts.append(world.judge(family, third, scores))
        rows[family] = pd.concat(parts).mean()
    return pd.DataFrame(rows).T


def seconds_for_a_million(world: World, model: Model) -> float:
    """Seconds in which a model scores a million encoded configurations for one task, taken from 100,000."""
    scorer, n = model.fit(world.measured, **dict(model.settings[0])), MILLION // 10
    encoded = np.random.default_rng(0).random((n, world.measured.encoded.shape[1]))
    started = time.process_time()
    scorer(world.measured.traits[:1], encoded)
    return 10 * (time.process_time() - started)


def seconds_to_propose(traits: pd.DataFrame) -> float:
    """Seconds to draw a million configurations of twelve parameters, rank them and keep the best; both tables known."""
    tables = [MetaDataset.load(ROOT / "metadata" / name) for name in TABLES]
    predictor = AnySpacePredictor.fit_tables(
        tables, lambda name: traits.loc[name, list(SETTINGS.traits)].to_numpy(dtype=np.float64), SETTINGS, {}
    )
    space = SearchSpace.from_name("efficientnet-lite0")
    whole = SearchSpace(space.configuration_space, space.name)
    started = time.process_time()
    predictor.best_of_draws(predictor.model.shift, whole, {}, MILLION, seed=0)
    return time.process_time() - started


def summary(values: pd.DataFrame) -> dict[str, Any]:
    """Means over families with intervals."""
    found: dict[str, Any] = {name: bootstrap_mean(values[name]).to_json() for name in MEASURES}
    return found | {"by_family": {f: {k: round(float(x), 4) for k, x in row.items()} for f, row in values.T.items()}}


def compare(data: dict[str, Any]) -> None:
    """Puts the difference to the chosen model beside every quality of a table's results."""
    models = data["models"]
    found = [(one[how], models[CHOSEN][how]) for one in models.values() for how in ("measured", "left_out")]
    found += [(one, models[CHOSEN]["left_out"]) for one in data["with_the_other_table"].values()]
    for one, chosen in found:
        gaps = [row["quality"] - chosen["by_family"][family]["quality"] for family, row in one["by_family"].items()]
        one["quality_above_chosen"] = bootstrap_mean(np.array(gaps)).to_json()


def main() -> None:
    """Compares the models on both tables and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=TABLES)
    parser.add_argument("--out", type=Path, default=RESULTS / "any_space_models.json")
    arguments = parser.parse_args()
    traits = pd.read_parquet(TRAITS_FILE)
    worlds = {name: World(name, traits) for name in TABLES}
    for name in arguments.tables:
        world, other = worlds[name], next(worlds[other] for other in TABLES if other != name)
        for key in arguments.models:
            started = time.perf_counter()
            measured, choices = chosen_nested(world, MODELS[key])
            told = {"label": MODELS[key].label, "choices": choices}
            told |= {how: summary(values) for how, values in measured.items()}
            told["seconds_for_a_million"] = round(seconds_for_a_million(world, MODELS[key]), 2)
            put(arguments.out, name, "models", key, told)
            of_all = " ".join(f"{how} {values['quality'].mean():.3f}" for how, values in measured.items())
            print(f"{name} {key}: {of_all} ({time.perf_counter() - started:.0f} s)", flush=True)
        for share in (0.0, 0.3, OTHER_TABLES, 0.9):
            together = summary(with_other_table(world, other, share))
            put(arguments.out, name, "with_the_other_table", f"{share:g}", together)
        put(arguments.out, name, "table", "", about_table(world.table, name))
    data = json.loads(arguments.out.read_text()) | environment()
    for name in TABLES:
        data[name]["models"] = {key: data[name]["models"][key] for key in MODELS if key in data[name]["models"]}
        compare(data[name])
    data["seconds_to_propose_from_a_million"] = round(seconds_to_propose(traits), 2)
    write_json(arguments.out, data)


def put(path: Path, table: str, part: str, key: str, value: dict[str, Any]) -> None:
    """Writes one result into the file beside those that are there, so that a run can be cut into several."""
    with FileLock(f"{path}.lock"):
        data = json.loads(path.read_text()) if path.exists() else {}
        of_table = data.setdefault(table, {})
        if key:
            of_table.setdefault(part, {})[key] = value
        else:
            of_table[part] = value
        path.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
