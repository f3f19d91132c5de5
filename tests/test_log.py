"""Messages are visible by default and silenced like any library's."""

import subprocess
import sys

import pytest

SAY = "logging.getLogger('hyperstar_tune').info('the run is over')"


def said(*statements):
    code = "\n".join(["import logging", "import hyperstar_tune", *statements])
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    return done.stderr


def test_a_message_is_visible_by_default():
    assert said(SAY) == "hyperstar_tune: the run is over\n"


@pytest.mark.parametrize(
    "silence",
    [
        "logging.getLogger('hyperstar_tune').setLevel(logging.WARNING)",
        "logging.disable()",
        "logging.basicConfig(handlers=[logging.NullHandler()])",
        "logging.getLogger('hyperstar_tune').addHandler(logging.NullHandler())",
    ],
)
def test_it_is_silenced_like_any_librarys(silence):
    assert said(silence, SAY) == ""


def test_it_is_said_once_where_the_user_has_a_handler():
    assert said("logging.basicConfig(format='mine: %(message)s')", SAY) == "mine: the run is over\n"
