"""The tables in the README and the docs are those of the committed JSON."""

import re

import pytest
from scoreboard.doc_tables import DOCS, TABLES, filled


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_the_tables_in_a_page_are_those_of_the_committed_results(path):
    text = path.read_text(encoding="utf-8")
    assert text == filled(text)


def test_every_table_stands_in_one_page_between_its_markers():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS)
    for end in ("begin", "end"):
        assert sorted(re.findall(rf"<!-- table (\S+): {end} -->", text)) == sorted(TABLES)


def test_a_typed_number_is_replaced():
    page = "a\n<!-- table live: begin -->\n| typed |\n<!-- table live: end -->\nb\n"
    table = TABLES["live"]()
    assert filled(page) == f"a\n<!-- table live: begin -->\n{table}<!-- table live: end -->\nb\n"
