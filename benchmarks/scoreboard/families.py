"""Which families and tasks of a table are scored: development and test families, tasks that all rankers ranked."""

from dataclasses import replace

from hyperstar_tune.comparison.judging import Truth
from hyperstar_tune.comparison.leave_out import LooScores
from hyperstar_tune.errors import MetaDatasetError
from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["COSTLY", "TEST_FAMILIES", "TEST_FAMILIES_2", "development_families", "scored_part"]

TEST_FAMILIES = (  # docs/protocol.md, "Data"
    *("sign_digits", "trashnet", "scene15", "neu_steel_surface"),
    *("retina_eye_disease4", "grocery_fruit_veg", "gtsrb_signs", "cats_dogs"),
)
TEST_FAMILIES_2 = (  # the same, protocol 2
    *("plant_seedlings12", "elpv_solar_cells", "canteen_food16", "gtzan_spectrograms10"),
    *("leeds_butterflies10", "vehicle_cctv6", "captcha_letters25", "chinese_painting_ming_song"),
)
COSTLY = ("end_to_end",)  # rankers that take hours: they may lack tasks that all others have


def development_families(table: MetaDataset) -> list[str]:
    """The families of a table that choices may be made on."""
    test = TEST_FAMILIES_2 if table.fingerprint.protocol == 2 else TEST_FAMILIES
    return [family for family in table.families if family not in test]


def scored_part(loo: LooScores, truth: Truth) -> tuple[Truth, list[str]]:
    """The tasks on which rankers can be compared, and these rankers.

    A table may have grown since it was ranked, and a ranking may have been cut short: what counts are the tasks with
    scores of all rankers. A ranker that has none of the tasks, or is costly and lacks one of these, is left out.

    Returns:
        The truth of those tasks, and the names of the rankers, each of which ranked all of them.

    Raises:
        MetaDatasetError: If no task remains.
    """
    has = {name: {task for task in truth.tasks if loo.n_seeds(name, task)} for name in loo.rankers}
    of_all = [tasks for name, tasks in has.items() if tasks and name not in COSTLY]
    common = set.intersection(*of_all) if of_all else set()
    if not common:
        raise MetaDatasetError(
            f"a table of rankers needs a complete task with scores of all rankers, but of {len(truth.tasks)} complete "
            "ones none has; run benchmarks/loo_scores.py"
        )
    rows = [place for place, task in enumerate(truth.tasks) if task in common]
    part = replace(
        truth,
        tasks=[truth.tasks[row] for row in rows],
        families=[truth.families[row] for row in rows],
        half_a=truth.half_a[rows],
        half_b=truth.half_b[rows],
    )
    return part, [name for name, tasks in has.items() if common <= tasks]
