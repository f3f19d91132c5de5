"""A Hugging Face data set as a folder of images, which is what ``hyperstar tune`` and ``ImageTask`` read.

Here a small data set is made on the spot. Put ``load_dataset("beans")`` in its place, or what you have.

    pip install datasets
    python examples/huggingface_datasets.py
"""

from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from sklearn.datasets import load_digits

from hyperstar_tune import ImageTask, Predictor


def digits() -> DatasetDict:
    """360 scans of handwritten digits, in the splits that data sets have on the Hub."""
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    features = Features({"image": Image(), "label": ClassLabel(names=[f"digit-{n}" for n in range(10)])})
    splits = {"train": slice(0, 200), "validation": slice(200, 300), "test": slice(300, 360)}
    rows = {split: {"image": [*pixels[part]], "label": labels[part].tolist()} for split, part in splits.items()}
    return DatasetDict({split: Dataset.from_dict(columns, features=features) for split, columns in rows.items()})


def write_folder(data: DatasetDict, folder: Path) -> Path:
    """Writes ``folder/SPLIT/CLASS/NUMBER.SUFFIX``: the images' own bytes, neither decoded nor encoded anew."""
    for split, rows in data.items():
        image, label = (
            next(column for column, feature in rows.features.items() if isinstance(feature, kind))
            for kind in (Image, ClassLabel)
        )
        names = [name.replace("/", "-") for name in rows.features[label].names]
        for number, row in enumerate(rows.cast_column(image, Image(decode=False))):
            if row[label] not in range(len(names)):  # test images of the Hub often have no label: -1
                continue
            stored = row[image]  # its bytes, or the path of its file
            target = folder / split / names[row[label]] / f"{number}{Path(stored['path'] or '').suffix or '.png'}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stored["bytes"] or Path(stored["path"]).read_bytes())
    return folder


def main() -> None:
    folder = write_folder(digits(), Path("runs") / "digits-from-datasets")
    task = ImageTask.from_folder(folder)
    print(task.summary())
    print(Predictor.load("mobilenet-v2-64px").rank(task).table(3))
    print(f"Next: hyperstar tune {folder} --hours 1")  # test/ is held out and judged once, at the end


if __name__ == "__main__":
    main()
