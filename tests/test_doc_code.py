"""The Python of the pages runs, page by page, in one process; runs of Tune are played on made-up curves.

What no test here can show: that a network learns. The README's lines run on real Ray in tests/integration.
"""

import os

import doc_world
import pytest
from doc_pages import PAGES, blocks, name

WITH_CODE = [page for page in PAGES if page.name != "README.md" and any(b.language == "python" for b in blocks(page))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    doc_world.build(folder)
    return folder


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_python_of_a_page_runs(page, world, monkeypatch):
    monkeypatch.chdir(world)
    doc_world.pretend(monkeypatch)
    names = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            text = "\n" * (block.line - 1) + block.text.replace('"/shared/', f'"{world}{os.sep}shared/')
            exec(compile(text, str(page), "exec"), names)
