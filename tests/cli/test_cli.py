import json
import re

import numpy as np
import pandas as pd
import pytest
import typer.main
from digit_images import write_digits
from made_up_table import make_table
from rich.text import Text

import hyperstar_tune
from hyperstar_tune.cli.app import app, find_task
from hyperstar_tune.errors import TaskError
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.metadataset import MetaDataset

SPACE = SearchSpace.from_name("shufflenet-v2-x1")


def write_curves(path, tasks, configs):
    """A CSV file of random curves over 16 epochs."""
    rng = np.random.default_rng(0)
    rows = [
        {"task": task, "seed": 0, "epoch": epoch, **config, "val_accuracy": round(rng.random(), 4)}
        for task in tasks
        for config in configs
        for epoch in range(1, 17)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_plan_prints_a_race_and_what_it_takes_on_a_folder(hyperstar, digits_folder):
    status, out, _ = hyperstar("plan", 32, "--epoch-budget", 144)
    assert status == 0
    assert "race: 2 x 8 -> 1 x 32" in out
    assert "no race" not in out
    out = hyperstar("plan", 32, "--race-epochs", 0, "--seconds", 90)[1]
    assert "budget 90 s" in out
    assert "  race: " not in out
    out = hyperstar("plan", 32, "--seconds", 60, "--data", digits_folder)[1]
    epochs, configs, seconds = map(int, re.search(r"predicted: (\d+) epochs of (\d+) .* in (\d+) s", out).groups())
    assert 59 <= seconds < 90
    assert epochs >= configs >= 1


def test_plan_recommends_one_for_the_time_and_warns_of_epochs_that_decide_nothing(hyperstar, digits_folder):
    out = hyperstar("plan", "--hours", 0.01, "--data", digits_folder)[1]
    assert re.match(r"Recommended: RacePlan\(max_epochs=32, seconds_budget=36\)\nRace of 2 x 8 epochs", out)
    assert re.search(r"predicted: .* of them to the end, in 36 s; the last .* waste none", out)
    assert "Recommended: RacePlan(max_epochs=16, epoch_budget=36)" in hyperstar("plan", "--epoch-budget", 36)[1]
    assert "8 of the 80 epochs decide nothing" in hyperstar("plan", 32, "--epoch-budget", 80)[1]
    assert "a budget of 112 or 152 wastes none" in hyperstar("plan", 32, "--epoch-budget", 144, "--eta", 2)[1]
    assert "decide nothing" not in hyperstar("plan", 32, "--epoch-budget", 136)[1]


def test_plan_prints_the_brackets(hyperstar):
    status, out, _ = hyperstar("plan", 9, "--eta", 3, "--epoch-budget", 60)
    assert status == 0
    assert "9 x 1 -> 3 x 3 -> 1 x 9" in out
    assert "budget ends inside (epoch 42 to 60)" in out
    assert "bracket 1: 3 x 9" in hyperstar("plan", 9, "--longest-first")[1]


def test_a_mistake_is_one_line_and_status_two(hyperstar, tmp_path, digits_folder):
    for arguments, reason in (
        (("plan", 100, "--eta", 2, "--epoch-budget", 10), "first rung (64 epochs), but got 10"),
        (("plan", 9, "--eta", 3, "--data", digits_folder), "leave one out"),
        (("plan", 9, "--seconds", -1), "but got -1"),
        (("plan", "--hours", 2), "--data FOLDER"),
        (("plan", 9, "--hours", 2, "--seconds", 2), "leave one out"),
        (("rank", tmp_path / "nowhere"), "nowhere"),
        (("rank", digits_folder, "--predictor", "no-such"), "no-such"),
        (("collect", f"{tmp_path}@tiny", "--out", tmp_path / "out"), "@tiny"),
        (("import-curves", tmp_path / "nowhere.csv", "--out", tmp_path / "out"), "nowhere"),
        (("import-curves", tmp_path, "--out", tmp_path / "out"), "a .csv or .parquet file"),
    ):
        status, out, err = hyperstar(*arguments)
        assert status == 2
        assert out == ""
        assert err.startswith("hyperstar: ")
        assert err.count("\n") == 1
        assert reason in err


def test_rank_prints_the_head_of_the_ranking_or_all_of_it_as_json(hyperstar, digits_folder):
    status, out, _ = hyperstar("rank", digits_folder, "--top", 3)
    assert status == 0
    source, heading, *places, unit, alike, nearest, race = out.strip().splitlines()
    assert source == "What mobilenet-v2-64px recommends for these images:"
    assert nearest.startswith("Nearest known tasks, by how well features tell their classes apart")
    assert heading.startswith("place")
    assert len(places) == 3
    assert unit.startswith("score: deviations above the mean configuration")
    assert alike.startswith("~: ")
    status, out, _ = hyperstar("rank", digits_folder, "--json")
    ranking = json.loads(out)
    assert race.startswith(f"A race sets place 1 against place {ranking['complement'] + 1} (")
    assert "It is best where the first fails: " in race
    assert len(ranking["ranking"]) == 108
    assert ranking["seen"] is False
    scores = [place["score"] for place in ranking["ranking"]]
    assert scores == sorted(scores, reverse=True)


def test_the_command_says_its_version(hyperstar):
    assert hyperstar("--version")[:2] == (0, f"{hyperstar_tune.__version__}\n")


def test_rank_explains_what_its_numbers_mean(hyperstar, digits_folder):
    status, out, _ = hyperstar("rank", digits_folder, "--explain")
    assert status == 0
    for said in (
        "  network: mobilenetv2_100",
        "  image size: 64 px",
        "  R: 32 epochs",
        "1 is one standard deviation better",
        "other places cannot be told from place 1",
        "Seconds per epoch, on the machine where the known tasks were trained",
        "probe_deep ",
        "Effect of each parameter",
    ):
        assert said in out
    explained = json.loads(hyperstar("rank", digits_folder, "--explain", "--json")[1])
    assert explained["circumstances"]["learned from"].endswith(" families")
    assert set(explained["parameters"]) == {"lr", "layers", "augmentation", "optimizer"}
    assert [trait["name"] for trait in explained["traits"]] == ["probe_deep", "probe_gain_images", "probe_gain_depth"]
    first = explained["ranking"][0]
    for place in explained["ranking"][1:]:
        difference = first["score"] - place["score"]
        assert place["alike"] == (difference < max(first["spread"], place["spread"]))


def test_predictors_are_listed(hyperstar):
    status, out, _ = hyperstar("predictors", "list")
    assert status == 0
    assert "mobilenet-v2-64px: " in out
    assert "shufflenet-v2-x1-64px: " in out


def test_imported_curves_become_a_meta_dataset(hyperstar, tmp_path):
    file, out = write_curves(tmp_path / "curves.csv", ["beans"], SPACE.grid()), ("--out", tmp_path / "table")
    status, printed, _ = hyperstar("import-curves", file, *out, "--space", "shufflenet-v2-x1")
    assert status == 0
    assert "1 tasks x 108 configurations" in printed
    table = MetaDataset.load(tmp_path / "table")
    assert table.tasks["name"].tolist() == ["beans"]
    assert not table.space.difference(SPACE)
    pd.read_csv(file).replace("none", "None").to_parquet(tmp_path / "curves.parquet")
    assert hyperstar("import-curves", tmp_path / "curves.parquet", *out)[0] == 0
    assert "None" in {config["augmentation"] for config in MetaDataset.load(tmp_path / "table").configs}


def test_a_space_of_curves_may_stand_in_a_file(hyperstar, tmp_path):
    file = write_curves(tmp_path / "curves.csv", ["beans"], [{"lr": 0.1, "norm": "None"}, {"lr": 0.2, "norm": "NA"}])
    command = ("import-curves", file, "--out", tmp_path / "table", "--space", tmp_path / "space.json")
    (tmp_path / "space.json").write_text(json.dumps({"lr": [0.1, 0.2, 0.3], "norm": ["None", "NA"]}))
    assert hyperstar(*command)[0] == 0
    assert len(MetaDataset.load(tmp_path / "table").space) == 6
    for content, reason in (
        ("{", "must be JSON"),
        ("[1]", "a list of values for each parameter"),
        ('{"lr": 1}', "a list of values for each parameter"),
        ('{"lr": [0.1], "norm": ["NA", "None"]}', "but got 0.2"),
        ('{"lr": [0.1, 0.2]}', "'norm'"),
    ):
        (tmp_path / "space.json").write_text(content)
        status, out, err = hyperstar(*command)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert reason in err


@pytest.mark.parametrize("method", ["hyperstar_plus", "any_space", "network"])
def test_a_predictor_is_trained_on_a_table_and_ranks(hyperstar, tmp_path, method):
    for name in ("bright", "dark"):
        write_digits(tmp_path / "images" / name)
    file = write_curves(tmp_path / "curves.csv", ["bright", "dark"], SPACE.grid())
    hyperstar("import-curves", file, "--out", tmp_path / "table", "--space", "shufflenet-v2-x1")
    images, out = tmp_path / "images", tmp_path / "mine"
    options = ("--epochs", 2, "--train-backbone", "none") if method == "network" else ()
    tables = [tmp_path / "table"] * (2 if method == "any_space" else 1)
    train = ("meta-train", *tables, "--tasks", images, "--out", out, "--method")
    status, printed, _ = hyperstar(*train, method, *options)
    assert status == 0
    assert ("pass 2/2: " in printed) == (method == "network")
    assert Predictor.load(out).card.get("method", "network") == method
    status, printed, _ = hyperstar("rank", images / "dark", "--predictor", out, "--top", 5)
    assert status == 0
    assert "has seen these images" in printed
    assert "lr=" in printed.strip().splitlines()[-1]
    status, _, err = hyperstar(*train, "magic")
    assert status == 2
    assert "magic" in err
    if method == "any_space":
        assert "only method 'any_space' learns from several tables, but got 2" in hyperstar(*train, "network")[2]


def test_rank_takes_the_space_of_a_file_and_says_what_does_not_count(hyperstar, digits_folder, tmp_path):
    (tmp_path / "space.json").write_text('{"lr": [1e-5, 1e-3], "layers": ["all"], "batch_size": [8, 16]}')
    asked = ("rank", digits_folder, "--space", tmp_path / "space.json")
    told = json.loads(hyperstar(*asked, "--json", "--explain")[1])
    assert len(told["ranking"]) == 4
    assert told["ranking"][0]["config"].keys() == {"lr", "layers", "batch_size", "optimizer", "augmentation"}
    assert told["ranking"][0]["config"]["optimizer"] == "sgd"  # the default of fine-tuning
    for remark in ("because mobilenet-v2-64px does not know them: batch_size", "lr outside 0.0001 to 0.1"):
        assert any(remark in line for line in told["remarks"])
    (tmp_path / "space.json").write_text('{"n_trees": [10, 100]}')
    status, out, err = hyperstar(*asked)
    assert (status, out, err.count("hyperstar: ")) == (2, "", 1)
    assert "knows none of the parameters n_trees, so that there is nothing but random search" in err


def test_folders_may_have_an_at_in_their_names(tmp_path):
    folder = write_digits(tmp_path / "me@host" / "digits@home")
    assert find_task(str(folder)).n_train == 36
    assert find_task(f"{folder}@100").name == "digits@home@100"
    with pytest.raises(TaskError, match=r"@small, @large, @100, but got .*digits@tiny"):
        find_task(str(folder.with_name("digits@tiny")))


def test_the_images_of_every_task_of_the_table_are_needed(hyperstar, tmp_path):
    file = write_curves(tmp_path / "curves.csv", ["beans"], SPACE.grid()[:2])
    hyperstar("import-curves", file, "--out", tmp_path / "table")
    status, _, err = hyperstar("meta-train", tmp_path / "table", "--tasks", tmp_path, "--out", tmp_path / "mine")
    assert status == 2
    assert "beans" in err


def test_a_sweep_of_the_shipped_table_runs_the_headline_method_by_itself(hyperstar, tmp_path):
    named = ("--budgets", "1", "--tasks", "cifar10@small", "--out", tmp_path / "runs.parquet")
    status, out, err = hyperstar("sweep", "mobilenet-v2-64px", "--methods", "race", *named)
    assert status == 0, err
    assert re.search(r"race +0\.\d{3}", out)
    status, _, err = hyperstar("sweep", "no-such-table", *named)
    assert (status, err.count("\n")) == (2, 1)
    assert "a folder, or one that ships (mobilenet-v2-64px), but got 'no-such-table'" in err


def test_a_shipped_predictor_is_judged_on_a_table_of_the_users_own(hyperstar, tmp_path):
    write_digits(tmp_path / "images" / "beans")
    predictor = "shufflenet-v2-x1-64px"
    configs = Predictor.load(predictor).space.grid()
    file = write_curves(tmp_path / "curves.csv", ["beans"], configs)
    space = ("--space", "shufflenet-v2-x1")
    assert hyperstar("import-curves", file, "--out", tmp_path / "table", *space)[0] == 0
    call = ("sweep", tmp_path / "table", "--out", tmp_path / "runs.parquet", "--methods", f"{predictor}+alone")
    assert f"predictor '{predictor}' needs the images of task 'beans'" in hyperstar(*call, "--budgets", "1")[2]
    status, out, err = hyperstar(*call, "--budgets", "1", "--images", tmp_path / "images")
    assert status == 0, err
    assert f"{predictor}+alone" in out


def test_a_sweep_replays_methods_and_goes_on_where_it_stopped(hyperstar, tmp_path):
    make_table(n_tasks=3).save(tmp_path / "table")
    common = ("sweep", tmp_path / "table", "--out", tmp_path / "runs.parquet", "--budgets", "1,2", "--seeds", 3)
    status, out, _ = hyperstar(*common, "--methods", "hyperband")
    assert status == 0
    assert "9/9 runs" in out
    assert "Mean best accuracy over families" in out
    status, out, _ = hyperstar(*common, "--methods", "hyperband,random_search")
    assert "9/9 runs" in out  # those of random search alone
    assert set(pd.read_parquet(tmp_path / "runs.parquet")["method"]) == {"hyperband", "random_search"}
    figures = tmp_path / "figures"
    status, out, _ = hyperstar(*common, "--methods", "hyperband,average_top1+alone", "--figures", figures)
    assert "3/3 runs" in out  # the ranking needs no image, and is not random
    assert "Epochs to a rival's final accuracy" in out
    assert {path.name for path in figures.iterdir()} == {"average.png", "tasks_eta_2.png", "regret_eta_2.png"}
    for wrong, reason in (
        ("--methods=nothing", "'nothing'"),
        ("--budgets=one", "'one'"),
        ("--methods=bm+alone", "the images of the tasks; name their folder with --images"),
        ("--methods=race", "'hyperstar_plus' needs the traits of the tasks, or their images"),
    ):
        status, _, err = hyperstar(*common, wrong)
        assert status == 2
        assert reason in err
        assert err.count("\n") == 1


def test_help_names_the_commands_of_a_new_user_first(hyperstar):
    status, out, _ = hyperstar("--help")
    assert status == 0
    places = [out.index(f"│ {command} ") for command in ("tune", "predict", "report", "rank", "collect")]
    assert places == sorted(places)


def test_help_shows_what_an_option_means_when_it_is_left_out(hyperstar):
    out = " ".join(hyperstar("tune", "--help")[1].replace("│", " ").split())
    for default in ("runs/NAME-DATE", "by the weights", "by the budget", "one that fits the weights"):
        assert f"[default: ({default})]" in out


def test_help_is_printed_in_full_though_rich_takes_square_brackets_for_markup():
    def texts(command):
        for parameter in command.params:
            yield getattr(parameter, "help", None) or ""
        for below in getattr(command, "commands", {}).values():
            yield from texts(below)

    assert [text for text in texts(typer.main.get_command(app)) if Text.from_markup(text).plain != text] == []
