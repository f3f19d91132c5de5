"""The page of a run: what it says, what it never holds, and that a browser shows it."""

import json
import re
import shutil

import pytest
from recorded_run import edit_record, made_up_run

from hyperstar_tune.errors import SearchError
from hyperstar_tune.report.page import write_page
from hyperstar_tune.tuning.record import read_record

ODD = "<i>$x_1$ & {{co}}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = made_up_run(tmp_path_factory.mktemp("run"), rename={"digit1": ODD})
    write_page(read_record(folder), folder / "report.html")
    return folder


def page_of(run, **options):
    write_page(read_record(run), run / "again.html", **options)
    return (run / "again.html").read_text()


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))


def test_the_command_writes_the_page_into_the_run_or_where_it_is_told(hyperstar, run, tmp_path):
    assert hyperstar("report", run)[:2] == (0, f"wrote {run / 'report.html'}\n")
    assert hyperstar("report", run, "--no-images", "--out", tmp_path / "new" / "page.html")[0] == 0
    assert "jpeg" not in (tmp_path / "new" / "page.html").read_text()


def test_what_is_no_run_is_named(hyperstar, run, tmp_path):
    status, _, err = hyperstar("report", tmp_path)
    assert status == 2
    assert f"{tmp_path} has none to read" in err
    assert "is a folder" in hyperstar("report", run, "--out", tmp_path)[2]
    assert "names its metric, but got --time-attr" in hyperstar("report", run, "--time-attr", "steps")[2]


def test_the_page_needs_nothing_else(run):
    page = (run / "report.html").read_text()
    assert "<script" not in page
    assert all(address.startswith(("data:", "#")) for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "url(" not in re.sub(r"url\(#", "", page)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)
    assert len(page) < 400_000


def test_the_page_says_what_the_run_found(run):
    text, record = text_of((run / "report.html").read_text()), read_record(run)
    assert "0.850 accuracy to be expected on new images; 95 % interval 0.700 to 0.950" in text
    assert "2 configurations tie in accuracy; the lower validation loss decided" in text
    assert f"8 configurations, {record['spent']['epochs']} epochs in" in text
    assert "epochs trained again after a fault 1" in text
    assert "Ranks among the 7 configurations that reached epoch 4" in text
    assert "lr=" in text
    assert all(name in text for name in record["ranking"]["nearest"])
    assert "how well deep features separate the classes" in text
    assert "share of the variance" in text
    assert "optimizer=" in text
    assert ": the worker died at " in text
    assert "image size: 64 in the predictor, 32 in this run" in text
    for title in ("All configurations.", "Best so far, by epochs.", "Best so far, by time.", "Confusion matrix."):
        assert title in text


def test_names_are_shown_as_they_are_and_never_run_as_markup(run):
    page = (run / "report.html").read_text()
    assert "<i>" not in page
    assert "&lt;i&gt;$x_1$ &amp; {{co}}" in page
    assert page.count("data:image/jpeg;base64,") == 3 * 4 + len(read_record(run)["validation"]["mistakes"])


def test_without_images_nothing_of_the_data_is_left_but_names_of_classes_and_numbers(run):
    page = page_of(run, with_images=False)
    assert "data:image/jpeg" not in page
    assert ".png" not in page
    assert str(run.parent) not in page
    assert "Confusion matrix" in page
    assert " failed. Why is left out of this page" in page


def test_images_that_have_gone_are_said_to_be_gone(run, tmp_path):
    shutil.copytree(run, tmp_path / "moved")
    task = read_record(run)["task"]
    edit_record(tmp_path / "moved", task=task | {"location": str(tmp_path / "gone")})
    assert "The images could not be read again" in page_of(tmp_path / "moved")
    shutil.copytree(run.parent / "images", tmp_path / "images")
    for split in ("train", "val"):
        (tmp_path / "images" / split / "digit2").rename(tmp_path / "images" / split / "another class")
    edit_record(tmp_path / "moved", task=task | {"location": str(tmp_path / "images")})
    n_mistakes = len(read_record(run)["validation"]["mistakes"])  # which are where they were
    assert page_of(tmp_path / "moved").count("data:image/jpeg") == 2 * 4 + n_mistakes


@pytest.mark.parametrize("missing", ["trials", "ranking", "spent"])
def test_a_record_that_lacks_something_is_refused_in_one_line(run, tmp_path, missing):
    record = {name: entry for name, entry in read_record(run).items() if name != missing}
    with pytest.raises(SearchError, match=missing) as error:
        write_page(record, tmp_path / "page.html")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("metric", ["val_macro_f1", "val_accuracy"])
def test_a_run_of_two_configurations_has_a_page(tmp_path, metric):
    text = text_of(page_of(made_up_run(tmp_path, n_trials=2, metric=metric)))
    assert "Fewer than three configurations trained long enough" in text
    assert ("macro-F1 to be expected" in text) == (metric == "val_macro_f1")


def test_an_interrupted_run_without_a_result_has_a_page(run, tmp_path):
    record = read_record(run)
    for name in ("winner", "validation", "test"):
        record.pop(name)
    record |= {"status": "interrupted", "trials": [t | {"curve": [], "best": None} for t in record["trials"]]}
    write_page(json.loads(json.dumps(record)), tmp_path / "page.html")
    text = text_of((tmp_path / "page.html").read_text())
    assert "it can go on with hyperstar tune --resume" in text
    assert "there is no model" in text


def test_a_browser_shows_the_page_on_a_telephone_and_on_a_screen(run):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browsers = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, browsers)), None)
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (400, 1400):
            page = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
            said = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("requestfailed", lambda request, said=said: said.append(request.url))
            page.goto((run / "report.html").as_uri())
            assert said == []
            assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            smallest = """Math.min(...[...document.querySelectorAll('svg text, p, td')].filter(e => e.checkVisibility())
                .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM ? Math.hypot(
                    e.getScreenCTM().a, e.getScreenCTM().b) : 1)))"""
            assert page.evaluate(smallest) > 9.5  # pixels
            covered = "[...document.querySelectorAll('figure svg')].every(e => e.getBoundingClientRect().height > 80)"
            assert page.evaluate(covered)
        browser.close()
