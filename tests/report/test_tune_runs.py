"""Pages of experiments that ``hyperstar tune`` did not make; the files are as Tune writes them."""

import json
import re

import pytest

from hyperstar_tune.choosing import pack_correct
from hyperstar_tune.errors import SearchError
from hyperstar_tune.report.page import write_page
from hyperstar_tune.report.tune_runs import record_of_experiment

CONFIGS = [{"lr": 0.1, "opt": "sgd"}, {"lr": 0.01, "opt": "adam"}, {"lr": 0.001, "opt": "adam"}]
CURVES = [[0.5, 0.4, 0.3], [0.6, 0.2], [0.9]]


def write_logs(folder, curves=CURVES, metric="loss", step=1, **more):
    for number, (config, curve) in enumerate(zip(CONFIGS, curves, strict=True)):
        path = folder / f"trial_{number}"
        path.mkdir(parents=True)
        lines = [
            {
                metric: value,
                "training_iteration": n * step,
                "timestamp": 1000 + 60 * n + number,
                "time_this_iter_s": 60.0,
            }
            | {"trial_id": f"t{number}", "config": {"net": config, "data": "/private/photos"}}
            | {name: of_trials[number][n - 1] for name, of_trials in more.items()}
            for n, value in enumerate(curve, 1)
        ]
        (path / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_state(folder, statuses=("TERMINATED", "TERMINATED", "ERROR"), metric="loss"):
    data = []
    for number, (config, curve, status) in enumerate(zip(CONFIGS, CURVES, statuses, strict=True)):
        trial = {
            "trial_id": f"t{number}",
            "status": status,
            "config": {"net": config},
            "relative_logdir": f"trial_{number}",
        }
        last = {metric: curve[-1], "training_iteration": len(curve), "trial_id": f"t{number}"}
        analysis = {metric: {"max": max(curve), "min": min(curve), "last": curve[-1]}}
        data.append([json.dumps(trial), json.dumps({"last_result": last, "metric_analysis": analysis})])
    folder.mkdir(exist_ok=True)
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps({"trial_data": data}))


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))


def page_of(record, tmp_path, **options):
    write_page(json.loads(json.dumps(record)), tmp_path / "page.html", **options)
    return (tmp_path / "page.html").read_text()


def test_an_experiment_of_anybody_has_a_page_that_says_what_is_missing(hyperstar, tmp_path):
    run = write_logs(tmp_path / "theirs")
    write_state(run)
    (run / "trial_2" / "error.txt").write_text("Traceback\nValueError: no such optimizer\n")
    status, out, err = hyperstar("report", run, "--metric", "loss", "--mode", "min")
    assert (status, out) == (0, f"wrote {run / 'report.html'}\n"), err
    page = (run / "report.html").read_text()
    text = text_of(page)
    assert "3 configurations, 6 epochs in 3 min. This run is finished." in text
    assert "0.200 loss, the lowest that was reported" in text
    assert re.search(r"Configuration: lr=0.01, opt=adam , after epoch 2 of 3", text)
    assert "lr=0.001, opt=adam: ValueError: no such optimizer" in text
    assert "Which images it trained on is not known" in text
    assert "No model was judged" in text
    assert "What scheduler and budget the run had is not known" in text
    assert "The ranking of this run, if it had one, is not kept" in text
    assert "did not report which images they had right" in text
    for title in ("All configurations.", "Best so far, by epochs.", "Best so far, by time."):
        assert title in text
    assert "/private/photos" not in page  # all trials share it: it is no parameter
    assert not re.search(r"\b(None|nan)\b", text)


def test_without_logs_the_best_values_are_there_and_the_curves_are_said_to_be_missing(tmp_path):
    write_state(tmp_path, statuses=("TERMINATED", "RUNNING", "ERROR"))
    record = record_of_experiment(tmp_path, metric="loss", mode="min")
    assert record["winner"]["trial"] == "t1"
    assert [trial["curve"][0]["loss"] for trial in record["trials"]] == [0.3, 0.2, 0.9]
    text = text_of(page_of(record, tmp_path))
    assert "no learning curves" in text
    assert "Best so far" not in text
    assert "This run is not known to have ended; nothing here is final" in text
    assert "in an unknown time" in text


def test_which_images_were_right_gives_intervals_and_the_accuracy_to_expect(tmp_path):
    right = [[[i < n for i in range(40)] for n in ns] for ns in ((20, 24, 30), (22, 30), (8,))]
    accuracies = [[sum(own) / 40 for own in trial] for trial in right]
    packed = [[pack_correct(own) for own in trial] for trial in right]
    run = write_logs(tmp_path / "ours", accuracies, "val_accuracy", val_correct=packed)
    record = record_of_experiment(run)
    assert record["winner"]["tied_with"] == ["t1"]
    text = text_of(page_of(record, tmp_path))
    assert "accuracy to be expected on new images" in text
    assert "0.750 on the 40 validation images" in text
    assert "-55.0 (-70.4 to -39.6)" in text
    assert "2 configurations tie in accuracy" in text


def test_right_answers_of_different_images_are_no_crash(tmp_path):
    packed = [[pack_correct([True] * n)] * 3 for n in (5, 6, 7)]
    run = write_logs(tmp_path / "ours", metric="val_accuracy", val_correct=packed)
    assert "points from winner" not in page_of(record_of_experiment(run), tmp_path)


@pytest.mark.parametrize("odd", [None, float("nan"), "n/a", True])
def test_results_that_are_no_number_nested_ones_and_gaps_between_epochs(tmp_path, odd):
    run = write_logs(tmp_path / "run", [[0.1, odd], [0.2], [0.3, 0.4]], metric="eval", step=5)
    for path in run.glob("*/result.json"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        nested = [line | {"eval": {"acc": line["eval"]}, "timestamp": "yesterday"} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in nested))
    record = record_of_experiment(run, metric="eval/acc")
    assert record["winner"]["epoch"] == 10
    assert record["spent"] == {"epochs": 25, "redone_epochs": 0, "seconds": None, "configurations": 3}
    assert "Best so far, by time." not in page_of(record, tmp_path)


def test_one_trial_that_failed_at_once_has_a_page(tmp_path):
    trial = {"trial_id": "t0", "status": "ERROR", "config": {}}
    state = {"trial_data": [[json.dumps(trial), json.dumps({})]]}
    (tmp_path / "experiment_state-1.json").write_text(json.dumps(state))
    text = text_of(page_of(record_of_experiment(tmp_path), tmp_path))
    assert "No configuration reported a finite val_accuracy" in text
    assert "it failed; Tune has kept no message" in text


def test_what_has_no_page_is_one_line(hyperstar, tmp_path):
    run = write_logs(tmp_path / "run")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "experiment_state-1.json").write_text('{"trial_data": [[1, 2]]}')
    for folder, named, reason in (
        (tmp_path / "nowhere", {}, "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"),
        (run, {}, "'val_accuracy' and 'training_iteration', but those of run have config, loss"),
        (run, {"metric": "loss", "time_attr": "steps"}, "'loss' and 'steps'"),
        (run, {"metric": "loss", "mode": "best"}, "'max' or 'min'"),
        (tmp_path / "torn", {}, "experiment_state-1.json must be readable"),
    ):
        with pytest.raises(SearchError, match=reason) as refused:
            record_of_experiment(folder, **named)
        assert "\n" not in str(refused.value)
