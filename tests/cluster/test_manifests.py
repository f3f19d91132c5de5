"""The files that describe clusters to other programs, held against those programs' schemas."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import ray
import typer
import yaml

from hyperstar_tune.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"
RAY_JOB = json.loads(Path(__file__).with_name("kuberay_rayjob.schema.json").read_text())
RAY_UP = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())


def read(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


def options_of_tune():
    (command,) = (c for c in typer.main.get_command(app).commands.values() if c.name == "tune")
    return {option for parameter in command.params for option in parameter.opts}


def test_the_job_for_kuberay_keeps_to_its_schema():
    job = read("kuberay.yaml")
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    for pod in (cluster["headGroupSpec"]["template"], *(g["template"] for g in cluster["workerGroupSpecs"])):
        mounted = {m["name"] for container in pod["spec"]["containers"] for m in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert set(re.findall(r"--[a-z-]+", job["spec"]["entrypoint"])) <= options_of_tune()
    assert cluster["rayVersion"] in (EXAMPLES / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda job: job["spec"].update(entryPoint="python"),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].pop("maxReplicas"),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].pop("containers"),
    ],
)
def test_the_schema_notices_mistakes(damage):
    job = copy.deepcopy(read("kuberay.yaml"))
    damage(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAY_JOB)


def test_the_configuration_of_ray_up_keeps_to_rays_schema():
    jsonschema.validate(read("autoscaling.yaml"), RAY_UP)


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_nothing_is_installed_from_an_index_that_is_not_published_there(path):
    for line in path.read_text().splitlines():
        if "pip install" in line:
            assert re.search(r"pip install .*'?(/home|\.)", line), line
