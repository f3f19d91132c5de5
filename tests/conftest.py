"""What all tests share."""

import os
import sys

import pytest
from digit_images import write_digits

os.environ["RAY_ADDRESS"] = "local"  # no test joins a cluster that another one, or the user, has started


def pytest_collection_modifyitems(items):
    """Spreads the files of tests/integration over the run: they wait for Ray while the other process computes."""
    files = dict.fromkeys(item.path for item in items)
    groups = [[file for file in files if ("integration" in file.parts) is with_ray] for with_ray in (True, False)]
    place = {file: number / len(group) for group in groups for number, file in enumerate(group)}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture
def digits_folder(tmp_path):
    return write_digits(tmp_path / "digits")


@pytest.fixture
def hyperstar(monkeypatch, capsys):
    """Runs the command with arguments; gives its status, output and error output."""
    from hyperstar_tune import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hyperstar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run
