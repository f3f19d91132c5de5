"""What all tests share."""

import os
import sys

import pytest
from digit_images import write_digits

os.environ["RAY_ADDRESS"] = "local"  # no test joins a cluster that another one, or the user, has started


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
