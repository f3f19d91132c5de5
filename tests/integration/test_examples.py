"""The examples as they stand, in one Ray: what each prints and leaves."""

import runpy
import sys
from pathlib import Path

import nbformat
import pytest
import ray
from nbclient import NotebookClient

from hyperstar_tune import load_best
from hyperstar_tune.tasks import ImageTask

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(ray_local, tmp_path, monkeypatch, capsys):
    """Runs an example in a folder of its own; gives what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Tune keeps runs without a storage
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(name, *options):
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def best_accuracy(said):
    assert "best: " in said, said
    return float(said.rsplit("accuracy ", 1)[1])


def test_a_function_goes_on_from_its_checkpoints(example, caplog):
    assert best_accuracy(example("own_trainable.py")) > 0.8
    assert "21 of 21 epochs spent" in caplog.text
    assert "trained again" not in caplog.text
    assert "begins with epoch 1 again" not in caplog.text


def test_a_lightning_module_goes_on_from_its_checkpoints(example, caplog):
    pytest.importorskip("lightning", reason="Lightning is not installed (extra examples)")
    assert best_accuracy(example("lightning_trainable.py")) > 0.8
    assert "8 of 8 epochs spent" in caplog.text
    assert "begins with epoch 1 again" not in caplog.text


def test_a_hugging_face_data_set_becomes_a_folder_that_keeps_its_splits_and_classes(example, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra examples)")
    said = example("huggingface_datasets.py")
    folder = tmp_path / "runs" / "digits-from-datasets"
    task = ImageTask.from_folder(folder)
    assert (task.n_train, task.n_val, len(list(task.test_folder.glob("*/*")))) == (200, 100, 60)
    assert task.classes == tuple(f"digit-{n}" for n in range(10))
    assert f"hyperstar tune {folder.relative_to(tmp_path)}" in said

    write_folder = runpy.run_path(str(EXAMPLES / "huggingface_datasets.py"))["write_folder"]
    files = sorted(map(str, (folder / "test" / "digit-0").iterdir()))  # images that are files, as on the Hub
    features = datasets.Features({"labels": datasets.ClassLabel(names=["n/a", "zero"]), "img": datasets.Image()})
    columns = {"labels": [1, -1, 0, *[1] * (len(files) - 3)], "img": files}
    rows = datasets.Dataset.from_dict(columns, features=features)
    copies = sorted((write_folder(datasets.DatasetDict(train=rows), tmp_path / "copy") / "train").glob("*/*"))
    kept = [2, 0, *range(3, len(files))]  # the second has no label
    assert [(copy.parent.name, copy.name) for copy in copies] == [
        ("n-a", "2.png"),
        *(("zero", f"{n}.png") for n in kept[1:]),
    ]
    assert [copy.read_bytes() for copy in copies] == [Path(files[n]).read_bytes() for n in kept]


def test_optuna_begins_with_the_top_of_our_ranking(example):
    configs = [line.split("  ")[-1] for line in example("optuna_asha.py").splitlines() if "lr=" in line]
    assert len(configs) == 3 + 5
    assert configs[:3] == configs[3:6]  # ranked, and tried


def test_tensorboard_and_mlflow_see_every_epoch(example, tmp_path, monkeypatch):
    import own_trainable

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ray.cloudpickle.register_pickle_by_value(own_trainable)  # workers cannot import from the folder of examples
    example("tracking.py")
    assert list(tmp_path.glob("runs/tracked/*/events.out.tfevents.*"))
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed (extra examples)")
    mlflow.set_tracking_uri((tmp_path / "runs" / "mlflow").as_uri())
    logged = mlflow.search_runs(experiment_names=["digits"], output_format="list")
    assert sum(run.data.metrics["training_iteration"] for run in logged) == 21
    assert all(run.info.status == "FINISHED" for run in logged)


def test_the_quickstart_brings_its_own_images(example, tmp_path):
    with pytest.raises(SystemExit) as ended:
        example("quickstart.py", "--epochs", 1, "--max-epochs", 1, "--image-size", 32, "--weights", "own")
    assert not ended.value.code
    (run,) = (tmp_path / "runs").glob("digits-images-2*")
    assert load_best(run).classes == tuple(map(str, range(10)))


def test_the_notebook_runs_from_top_to_bottom(ray_local, tmp_path, monkeypatch):
    notebook = nbformat.read(EXAMPLES / "first_run.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)  # as it is kept
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "9 of 9 epochs spent" in said
    assert "95 % interval" in said
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) == 2
