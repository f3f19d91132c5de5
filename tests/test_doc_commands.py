"""Commands in the pages are ones that exist, with options that exist; nothing is run."""

import re
import shlex

import pytest
import typer.main
from doc_pages import PAGES, ROOT, blocks, name, prose

from hyperstar_tune.cli import app

COMMAND = typer.main.get_command(app)
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def typed_lines(page):
    for block in blocks(page):
        if not block.language:
            yield from block.text.replace("\\\n", " ").splitlines()


def parse(words):
    """Reads the options of a command line as the command itself does."""
    command, context = COMMAND, COMMAND.make_context("hyperstar", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        if words[:1] == ["--version"]:
            return
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_command_line_is_understood(page):
    for line in typed_lines(page):
        words = shlex.split(line, comments=True)
        while words and words[0] in ("nice", "ray", "job", "submit", "--"):
            words.pop(0)
        if words[:1] == ["hyperstar"]:
            parse(words[1:])
        elif words[:1] == ["make"]:
            assert words[1] in TARGETS, line
        elif words[:1] == ["python"]:
            script = ROOT / words[1]
            text = script.read_text()
            for option in (word for word in words[2:] if word.startswith("--")):
                assert f'"{option}"' in text or script.name == "quickstart.py", line


@pytest.mark.parametrize("words", ["tune data/flowers --hour 2", "plan many", "tune data/flowers more", "rank"])
def test_a_wrong_command_line_is_noticed(words):
    with pytest.raises(Exception, match=r"(?i)no such option|a valid|unexpected|missing"):
        parse(words.split())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_command_in_a_sentence_names_options_that_exist(page):
    for code in re.findall(r"`hyperstar ([a-z][^`]*)`", prose(page)):
        words, command = code.replace("\\|", "|").split(), COMMAND
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0).rstrip(".,")]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, code


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_stands_between_fences(page):
    """An indented command would not be seen by these tests."""
    assert not re.findall(r"^ {4,}(?:hyperstar|python|from|import) .*", prose(page), re.MULTILINE)
