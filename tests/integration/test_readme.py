import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from digit_images import write_digits
from safetensors.torch import save_file

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_a_failed_trial_does_not_end_a_spent_run_in_an_error():
    call = re.search(r"= tune\.run\(\n.*?^ *\)$", README, re.DOTALL | re.MULTILINE).group()
    assert "raise_on_failed_trial=False," in call  # by default tune.run raises when all epochs are spent


def pretend_downloaded(model, cache):
    """Fills the hub's cache with weights nobody has trained, where the network's own would lie."""
    network = timm.create_model(model)
    folder = cache / f"models--{network.pretrained_cfg['hf_hub_id'].replace('/', '--')}"
    revision = "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    (folder / "snapshots" / revision).mkdir(parents=True)
    save_file(network.state_dict(), folder / "snapshots" / revision / "model.safetensors")


@pytest.mark.integration
def test_the_ten_lines_run_as_they_stand(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    assert len(code.strip().splitlines()) <= 17
    write_digits(tmp_path / "data" / "flowers")
    pretend_downloaded("mobilenetv2_100", tmp_path / "hub")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "1",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    winner, accuracy = done.stdout.strip().splitlines()[-2:]
    assert re.match(r"\{'augmentation': .*\}$", winner), done.stdout[-2000:]
    assert re.match(r"accuracy [01]\.\d+, 95 % interval \[", accuracy), done.stdout[-2000:]
