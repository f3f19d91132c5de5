"""From the wheel alone to a model in use: builds the wheel, installs it in a bare environment, and tries it there.

    python benchmarks/wheel.py            # installs everything that the wheel asks for: some minutes, gigabytes
    python benchmarks/wheel.py --borrow   # the same with the packages of this environment, but not this checkout

On scikit-learn's digits, saved as a folder: ``hyperstar tune``; ``hyperstar predict`` on ten images against the logits
of the training process (1e-4); ``hyperstar export-model`` against PyTorch (1e-3); ``hyperstar report``; and ``hyperstar
sweep`` of the headline method on the table that ships.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
R, IMAGE_SIZE, N_PREDICTED = 4, 32, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--borrow", action="store_true", help="packages of this environment in place of new ones")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # how it calls itself in there
    arguments = parser.parse_args()
    if arguments.check:
        check()
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", name, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        wheel = next(folder.glob("*.whl"))
        python = install(wheel, folder / "environment", arguments.borrow)
        (folder / "work").mkdir()
        subprocess.run([python, "-I", __file__, "--check"], check=True, cwd=folder / "work")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")


def install(wheel: Path, folder: Path, borrow: bool) -> Path:
    """A new environment with the wheel; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    if borrow:
        places = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "borrowed.pth").write_text(
            "".join(f"{place}\n" for place in places)
        )  # whose own .pth files do not count
        subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    else:
        subprocess.run([*pip, f"{wheel}[onnx]", "-c", str(ROOT / "constraints.txt")], check=True)
    return python


def check() -> None:
    """Everything in the current folder, by the package that is installed; an assertion says what does not hold."""
    import hyperstar_tune

    assert Path(hyperstar_tune.__file__).is_relative_to(sys.prefix), hyperstar_tune.__file__
    images = write_digits(Path("digits"))
    own = ("--weights", "own", "--image-size", IMAGE_SIZE)
    hyperstar("tune", images, "--epochs", 2 * R, "--max-epochs", R, *own, "--out", "run")
    files, logits = logits_of_training(images)
    said = [json.loads(line) for line in hyperstar("predict", "run", *files, "--json").splitlines()]
    apart = max(
        abs(prediction["probabilities"][name] - share)
        for prediction, row in zip(said, logits.softmax(1).tolist(), strict=True)
        for name, share in zip(prediction["probabilities"], row, strict=True)
    )
    from hyperstar_tune import load_best

    apart = max(apart, (load_best("run").logits(files) - logits).abs().max().item())
    assert apart < 1e-4, apart
    print(f"predict: {len(files)} images, at most {apart:.1e} from the training process")
    exported = hyperstar("export-model", "run")
    assert float(re.search(r"at most (\S+)", exported).group(1)) < 1e-3, exported
    print(exported.strip())
    hyperstar("report", "run")
    page = Path("run", "report.html").read_text(encoding="utf-8")
    assert "to be expected on new images" in page
    assert "data:image/jpeg" in page
    print(f"report: {len(page) / 1e6:.1f} MB")
    named = ("--methods", "race,hyperband", "--budgets", "1,2", "--tasks", "cifar10@small", "--seeds", "2")
    print(hyperstar("sweep", "mobilenet-v2-64px", "--out", "runs.parquet", *named).strip())


def hyperstar(*arguments: object) -> str:
    """What the installed command prints; it must not find this checkout, nor somebody's cluster."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"RAY_ADDRESS": "local"}
    command = [str(Path(sys.prefix, "bin", "hyperstar")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def logits_of_training(images: Path) -> tuple[list[Path], Any]:
    """Ten validation images, and their logits by the very trial that won, from its own checkpoint."""
    from hyperstar_tune.finetune import FineTune, FineTuneSettings
    from hyperstar_tune.finetune.trainable import read_best
    from hyperstar_tune.tasks import ImageTask

    task, winner = ImageTask.from_folder(images), json.loads(Path("run", "run.json").read_text())["winner"]
    settings = FineTuneSettings(
        model="torchvision/shufflenet_v2_x1_0", weights="own", image_size=IMAGE_SIZE, max_epochs=R
    )
    run = FineTune(task, winner["config"], settings)
    epoch, parameters = read_best(max(Path("run").rglob("state.pt")).parent)
    assert epoch == winner["epoch"]
    run.load_trained_state(parameters)
    return list(task.sources["val"].paths)[:N_PREDICTED], run.predict("val")[:N_PREDICTED]


def write_digits(folder: Path) -> Path:
    """300 of scikit-learn's digits, one folder per class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(pixels[:300].reshape(-1, 8, 8), labels, strict=False)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * (255 / 16)).astype("uint8")).save(path)
    return folder


if __name__ == "__main__":
    main()
