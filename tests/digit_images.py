"""Images for tests: the scikit-learn digits as folders and arrays, a few of each class."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

N_CLASSES = 3
PER_CLASS = {"train": 12, "val": 8}


def digit_pixels(n_classes=N_CLASSES, per_class=20):
    """uint8 [n, 8, 8] and labels, the first ``per_class`` of each digit."""
    images, labels = load_digits(return_X_y=True)
    chosen = np.concatenate([np.flatnonzero(labels == digit)[:per_class] for digit in range(n_classes)])
    return (images[chosen].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels[chosen]


def write_digits(folder):
    """An ImageFolder with train/ and val/ of ``PER_CLASS`` images of three digits."""
    pixels, labels = digit_pixels()
    for digit in range(N_CLASSES):
        images = iter(pixels[labels == digit])
        for split, n in PER_CLASS.items():
            where = folder / split / f"digit{digit}"
            where.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(next(images)).save(where / f"{i}.png")
    return folder
