"""The README, the site's pages and what names the project to others agree with what is there."""

import re

import pytest
import yaml
from doc_pages import PAGES, ROOT, name

import hyperstar_tune

README = (ROOT / "README.md").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()  # Python 3.10 has no tomllib
HOME = re.search(r'^Homepage = "(.+)"', PYPROJECT, re.MULTILINE)[1]
RAW = HOME.replace("github.com", "raw.githubusercontent.com")
ROOMS = {path.parent.name for path in (ROOT / "hyperstar_tune").glob("*/__init__.py")} - {"cli"}
FLOOR = {path.stem for path in (ROOT / "hyperstar_tune").glob("[!_]*.py")}


def test_the_readme_is_short_and_stands_on_its_own():
    """An index of packages shows it without the files beside it."""
    assert len(README.splitlines()) <= 90
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", README))
    assert len(re.findall(r"!\[", README)) == len(re.findall("table .*: begin", README)) == 1


@pytest.mark.parametrize("page", [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *PAGES], ids=name)
def test_a_link_into_this_repository_leads_to_a_file(page):
    text = page.read_text()
    for path in re.findall(rf"(?:{HOME}/blob|{RAW})/main/([\w./-]+)", text):
        assert (ROOT / path).exists(), path
    assert set(re.findall(r"github\.com/[\w-]+/hyperstar_tune\b", text)) <= {HOME.removeprefix("https://")}


def test_every_room_and_small_part_has_a_page_of_the_api():
    shown = {
        part
        for page in (ROOT / "docs" / "api").glob("*.md")
        for part in re.findall(r"^::: hyperstar_tune\.(\w+)", page.read_text(), re.MULTILINE)
    }
    assert shown == ROOMS | FLOOR


def test_the_first_page_of_the_api_has_every_name_of_the_package():
    page = (ROOT / "docs" / "api" / "index.md").read_text()
    for public in hyperstar_tune.__all__:
        assert f"`{public}`" in page


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == hyperstar_tune.__version__
    assert citation["repository-code"] == HOME
    assert f'license = "{citation["license"]}"' in PYPROJECT
