"""What is shipped: small, ours, and without a pixel."""

import ast
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
WEIGHTS = {".pt", ".pth", ".bin", ".ckpt", ".onnx", ".h5", ".tflite", ".safetensors", ".pkl", ".pickle"}
IMAGE_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]  # from the sdist
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_stays_under_15_megabytes(wheel):
    assert Path(wheel.filename).stat().st_size < 15e6


def test_the_wheel_holds_what_it_needs(wheel):
    names = wheel.namelist()
    assert {"hyperstar_tune/py.typed", "hyperstar_tune/data/report/page.html"} <= set(names)
    for predictor in ("mobilenet-v2-64px", "shufflenet-v2-x1-64px"):
        assert any(name.startswith(f"hyperstar_tune/data/predictors/{predictor}/") for name in names)
    assert "hyperstar_tune/data/tables/mobilenet-v2-64px/objectives_evaluations.npy" in names
    assert any(name.endswith("entry_points.txt") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/", "examples/")) for name in names)


def test_the_wheel_holds_no_pixels(wheel):
    for name in wheel.namelist():
        assert Path(name).suffix.lower() not in IMAGES, name
        assert not wheel.read(name)[:4].startswith(IMAGE_HEADS), name
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            types = {str(field.type) for field in pq.read_schema(io.BytesIO(wheel.read(name)))}
            assert not types & {"binary", "large_binary"}, name


def test_every_weight_file_says_how_we_trained_it(wheel):
    names = wheel.namelist()
    weights = [name for name in names if Path(name).suffix in WEIGHTS]
    assert weights
    for name in weights:
        assert name.endswith(".safetensors"), name
        folder = name.rsplit("/", 1)[0]
        if f"{folder}/card.json" in names:
            origin = json.loads(wheel.read(f"{folder}/card.json"))["origin"]
            script = re.search(r"benchmarks/\w+\.py", origin).group()
            assert (ROOT / script).is_file()
        else:
            assert "Trained by this project" in wheel.read(f"{folder}/README.md").decode()


def test_no_message_names_a_file_that_the_wheel_does_not_hold():
    """In docstrings such a file may be the source of a rule; the help of a command is a message too."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for path in (ROOT / "hyperstar_tune").rglob("*.py"):
        tree = ast.parse(path.read_text())
        told = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        if path.parent.name != "cli":
            docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, nodes)}
            told = [node for node in told if node.value not in docs]
        for node in told:
            if node.value == "README.md":  # a finished model holds one
                continue
            found = re.search(r"(benchmarks|docs|tests|examples)/|\.md\b|Makefile", node.value)
            assert not found, f"{path}:{node.lineno} {node.value!r}"


def test_what_is_imported_at_once_is_declared():
    """So that a bare environment with only the wheel has it; the suite for others needs pytest, and says so."""
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)[1]
    names = {name.lower() for name in re.findall(r'^ *"([\w-]+)', declared, re.MULTILINE)}
    known_as = {"pil": "pillow", "sklearn": "scikit-learn", "markupsafe": "jinja2"}
    for path in (ROOT / "hyperstar_tune").rglob("*.py"):
        if path.parent.name == "testing":
            continue
        for node in ast.parse(path.read_text()).body:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            for module in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"hyperstar_tune"}:
                assert known_as.get(module.lower(), module.lower()) in names, f"{path} imports {module}"


def test_no_tracked_file_names_a_folder_of_one_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".cfg", ".json", ".txt", ".yml", ".yaml"} and path.is_file():
            text = path.read_text()
            assert str(ROOT) + "/" not in text, name
            assert str(Path.home()) + "/" not in text, name


def test_the_version_is_stated_once_the_same(wheel):
    import hyperstar_tune

    assert Path(wheel.filename).name.startswith(f"hyperstar_tune-{hyperstar_tune.__version__}-")
    assert f"## [{hyperstar_tune.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
