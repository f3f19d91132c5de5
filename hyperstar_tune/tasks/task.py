"""An image-classification task: labelled images in a training and a validation split.

Reads an ImageFolder directory, a torchvision data set by name, or arrays, and decodes only what it is asked for. It
caches nothing: callers that need the same pixels twice keep them. Not for data sets with several labels per image.

Sub-tasks and validation halves follow docs/protocol.md (Data).
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from hyperstar_tune.errors import TaskError, first_line
from hyperstar_tune.log import LOGGER
from hyperstar_tune.tasks.folders import read_folder, refuse_unreadable
from hyperstar_tune.tasks.identity import identity_of
from hyperstar_tune.tasks.pixels import ValueRange
from hyperstar_tune.tasks.sources import Arrays, Files, Joined, Source, Subset, UnreadableImageError, in_threads
from hyperstar_tune.tasks.splits import by_class, check_array, check_labels, hold_out
from hyperstar_tune.tasks.sub_tasks import SUB_TASKS, choose_sub_task
from hyperstar_tune.tasks.torchvision_sets import read_torchvision

__all__ = ["SUB_TASKS", "ImageTask"]

SPLITS = ("train", "val")
_HASHED_IMAGES = 64
_FEW_DECIDING = 50  # validation images below which chance decides
_SHOWN_CLASSES = 10
remarked: set[Path] = set()  # folders whose remarks this process has told


def _sample(n: int, size: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(0).permutation(n)[:size]]


class ImageTask:
    """Labelled images of one classification task.

    Make one with ``from_folder``, ``from_torchvision``, ``from_arrays`` or ``of``.

    Attributes:
        name: Short name, used in tables and file names.
        classes: Class names; label ``i`` means ``classes[i]``.
        train_labels: int64 [n_train].
        val_labels: int64 [n_val].
        sources: Undecoded images of ``"train"`` and ``"val"``.
        location: Where the images came from.
        family: Name that related tasks share (a sub-task has its parent's).
        unreadable: Images that could not be read: skipped at the start, or replaced when they were first decoded.
        value_range: Values of black and white in images of more than 8 bits; None if all have 8. New images for a
            network that was trained on the task are read with it: ``read_square(path, size, task.value_range)``.
        test_folder: Folder of test images, one folder per class. Nothing here reads them: they choose nothing, and
            are for judging a finished model once. None if the folder of the task has none.
        parent: The task it was cut from, if any.
    """

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        sources: dict[str, Source],
        labels: dict[str, np.ndarray],
        location: str,
        *,
        family: str | None = None,
        unreadable: Sequence[str] = (),
        max_unreadable: float = 0.1,
        value_range: ValueRange | None = None,
        test_folder: Path | None = None,
    ) -> None:
        self.name = name
        self.classes = tuple(str(c) for c in classes)
        self.train_labels = np.asarray(labels["train"], dtype=np.int64)
        self.val_labels = np.asarray(labels["val"], dtype=np.int64)
        self.location = location
        self.family = family or name
        self.unreadable: list[str] = list(unreadable)
        self._max_unreadable = max_unreadable
        self.value_range = value_range
        self.test_folder = test_folder
        self.sources = dict(sources)
        self.file_remarks: tuple[str, ...] = ()  # which files of a folder are not used, for whoever ranks or trains
        self.parent: ImageTask | None = None
        self._hash: str | None = None
        self._identity: dict[str, Any] | None = None
        self.token = uuid4().hex  # copies of this object share it: it is the key of what is kept of its images
        self._check()

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return len(self.train_labels)

    @property
    def n_val(self) -> int:
        """Number of validation images in both halves."""
        return len(self.val_labels)

    def __repr__(self) -> str:
        return f"ImageTask({self.name!r}, classes={len(self.classes)}, n_train={self.n_train}, n_val={self.n_val})"

    @classmethod
    def of(cls, task: "str | Path | ImageTask") -> "ImageTask":
        """A task as it is, a folder by its path, or a data set as ``"torchvision:CIFAR10"`` (found in ``data/``)."""
        if isinstance(task, ImageTask):
            return task
        if isinstance(task, str) and task.startswith("torchvision:"):
            return cls.from_torchvision(task.removeprefix("torchvision:"), root="data")
        if isinstance(task, str | Path):
            return cls.from_folder(task)
        raise TaskError(f"a task is a folder, 'torchvision:NAME' or an ImageTask, but got {type(task).__name__}")

    @classmethod
    def from_folder(
        cls, path: str | Path, name: str | None = None, seed: int = 0, max_unreadable: float = 0.1
    ) -> "ImageTask":
        """Reads ``{train,val}/CLASS/*`` or ``CLASS/*``, which is split 70/30, stratified.

        Other usual names of splits are known too, and one more folder may be wrapped around. Images in ``test/`` are
        left for judging the finished model; where there is no ``val/``, ``train/`` is split. Only headers are read
        here; pixels are decoded when asked for.

        Args:
            path: The folder. Symlinks in it may not leave it.
            name: Defaults to the folder's name.
            seed: Random seed of the split, for a folder without splits.
            max_unreadable: Share of unreadable images (damaged, or above 64 megapixels) that is tolerated.

        Raises:
            TaskError: If the folder is missing, has no class, a class has too few images, the splits have different
                classes, a symlink leaves the folder, or too many images are unreadable.
        """
        root = Path(path).expanduser().absolute()  # workers have another working directory
        if not root.is_dir():
            raise TaskError(f"a task folder must exist and be a folder, but got {str(path)!r}; check the path")
        name = name or root.resolve().name
        try:
            found = read_folder(root, name, seed, max_unreadable)
        except OSError as error:
            raise TaskError(f"a task folder must be readable, but: {first_line(error)}") from error
        classes = sorted(found.files["train"])
        files = {s: [found.files[s][c] for c in classes] for s in SPLITS}
        task = cls(
            name,
            classes,
            {s: Files([path for paths in files[s] for path in paths], root, found.value_range) for s in SPLITS},
            {s: np.repeat(np.arange(len(classes)), [len(paths) for paths in files[s]]) for s in SPLITS},
            str(root),
            unreadable=[str(path) for path in found.problems],
            max_unreadable=max_unreadable,
            value_range=found.value_range,
            test_folder=found.test,
        )
        task.file_remarks = found.remarks
        for remark in [*task.file_remarks, *task.remarks()] if root not in remarked else ():
            LOGGER.warning(f"{name}: {remark}")
        remarked.add(root)
        return task

    @classmethod
    def from_torchvision(cls, name: str, root: str | Path = "data", download: bool = False) -> "ImageTask":
        """Reads a classification data set of ``torchvision.datasets`` by class name, e.g. ``"CIFAR10"``.

        Validation is the data set's own ``val`` split, else its ``test`` split; one without splits (Caltech256, SUN397)
        is split 70/30, stratified, seed 0. Places365 is read at 256 pixels. ``"STL10/fold0"`` trains on the first fold
        of the training images, and the others are validation images.

        Raises:
            TaskError: If torchvision has no such data set, or its files are not under ``root``.
        """
        root = Path(root).expanduser().absolute()  # workers have another working directory
        classes, sources, labels = read_torchvision(name, root, download)
        return cls(name.replace("/", "-"), classes, sources, labels, f"torchvision:{name}")

    @classmethod
    def from_arrays(
        cls,
        name: str,
        train_images: np.ndarray,
        train_labels: Sequence[int] | np.ndarray,
        val_images: np.ndarray | None = None,
        val_labels: Sequence[int] | np.ndarray | None = None,
        classes: Sequence[str] | None = None,
        seed: int = 0,
    ) -> "ImageTask":
        """Takes images in memory, ``uint8 [n, H, W, 3]`` or grey ``[n, H, W]``; without validation it is cut off 70/30.

        Raises:
            TaskError: If shapes, types or counts do not fit.
        """
        images = check_array(train_images, "train_images")
        labels = check_labels(train_labels, len(images), "train_labels")
        if (val_images is None) != (val_labels is None):
            raise TaskError("val_images and val_labels go together, but got only one of them; pass both or neither")
        if classes is not None and labels.max() >= len(classes):
            raise TaskError(f"train_labels must be below {len(classes)}, the number of classes, but got {labels.max()}")
        n_classes = len(classes) if classes is not None else int(labels.max()) + 1
        names = list(classes) if classes is not None else [str(c) for c in range(n_classes)]
        train: Source = Arrays(images)
        if val_images is not None and val_labels is not None:
            held_out = check_array(val_images, "val_images")
            val: Source = Arrays(held_out)
            val_y = check_labels(val_labels, len(held_out), "val_labels")
        else:
            kept, cut = hold_out(labels, names, name, seed, np.arange(len(labels)))
            val, val_y = Subset(train, cut), labels[cut]
            train, labels = Subset(train, kept), labels[kept]
        return cls(name, names, {"train": train, "val": val}, {"train": labels, "val": val_y}, "arrays")

    def labels(self, split: str) -> np.ndarray:
        """Labels of the split ``"train"`` or ``"val"``, int64 [n]."""
        if split not in SPLITS:
            raise TaskError(f"a split is one of {', '.join(SPLITS)}, but got {split!r}")
        return self.train_labels if split == "train" else self.val_labels

    def images(self, split: str, size: int, indices: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Decodes images as ``uint8 [n, 3, size, size]`` RGB, resized to a square, antialiased bilinear.

        An image that proves unreadable here is counted in ``unreadable`` and replaced by the next readable one of its
        class and split, so that labels stay aligned.

        Raises:
            TaskError: If more than the allowed share is unreadable, or a whole class is.
        """
        labels = self.labels(split)
        wanted = np.arange(len(labels)) if indices is None else np.asarray(indices, dtype=np.int64)
        if size < 1:
            raise TaskError(f"an image size must be at least 1 pixel, but got {size}")
        out = np.empty((len(wanted), 3, size, size), dtype=np.uint8)
        decoded = in_threads(partial(self._try_square, split, size), [int(i) for i in wanted])
        for row, (index, square) in enumerate(zip(wanted, decoded, strict=True)):
            out[row] = square if square is not None else self._substitute(split, size, int(index))
        refuse_unreadable(self.unreadable, self.n_train + self.n_val, self._max_unreadable, self.name)
        return out

    def batches(self, n_batches: int = 10, batch_size: int = 64, image_size: int = 64, seed: int = 0) -> np.ndarray:
        """Seeded samples of the training images, ``uint8 [n_batches, batch_size, 3, S, S]``.

        Images are drawn without replacement. If a task has too few, they are drawn again in a new order. Only the
        sampled images are decoded, each once.
        """
        if n_batches < 1 or batch_size < 1:
            raise TaskError(f"batches need positive numbers, but got n_batches={n_batches}, batch_size={batch_size}")
        rng = np.random.default_rng([seed, 1])
        total = n_batches * batch_size
        rounds = [rng.permutation(self.n_train) for _ in range(-(-total // self.n_train))]
        sample = np.concatenate(rounds)[:total]
        distinct, place = np.unique(sample, return_inverse=True)
        return self.images("train", image_size, distinct)[place].reshape(
            n_batches, batch_size, 3, image_size, image_size
        )

    def val_halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation indices of half A (decides) and half B (reports): stratified, seed 0, sorted."""
        rng = np.random.default_rng(0)
        halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        extra = 0  # classes of odd size give their extra image to the halves in turn
        for members in map(rng.permutation, by_class(self.val_labels, len(self.classes))):
            cut = len(members) // 2 + (len(members) % 2 if extra == 0 else 0)
            extra = (extra + len(members) % 2) % 2
            halves[0].append(members[:cut])
            halves[1].append(members[cut:])
        return np.sort(np.concatenate(halves[0])), np.sort(np.concatenate(halves[1]))

    def sub_task(self, kind: str, seed: int = 0) -> "ImageTask":
        """A smaller task, named ``NAME@KIND``: a seeded subset of at least two classes and of their training images.

        Args:
            kind: ``"small"`` (80-160 training images), ``"large"`` (200-320), or ``"100"`` (about 100 images, all
                classes alike, as in tables measured before the protocol).
            seed: Random seed of the choice, which for the first two kinds also depends on the task's name.

        Raises:
            TaskError: If the task has too few images for the kind.
        """
        chosen, train = choose_sub_task(self.name, self.train_labels, len(self.classes), kind, seed)
        picked = {"train": train, "val": np.flatnonzero(np.isin(self.val_labels, chosen))}
        cut = ImageTask(
            f"{self.name}@{kind}",
            [self.classes[c] for c in chosen],
            {s: Subset(self.sources[s], picked[s]) for s in SPLITS},
            {s: np.searchsorted(chosen, self.labels(s)[picked[s]]) for s in SPLITS},
            self.location,
            family=self.family,
            max_unreadable=self._max_unreadable,
            value_range=self.value_range,
        )
        cut.parent = self
        return cut

    def with_all_images(self) -> "ImageTask":
        """The task whose training images are its training and validation images together; validation stays."""
        sources: dict[str, Source] = {"train": Joined(self.sources["train"], self.sources["val"])}
        joined = ImageTask(
            self.name,
            self.classes,
            sources | {"val": self.sources["val"]},
            {"train": np.concatenate([self.train_labels, self.val_labels]), "val": self.val_labels},
            self.location,
            family=self.family,
            max_unreadable=self._max_unreadable,
            value_range=self.value_range,
            test_folder=self.test_folder,
        )
        joined.parent = self
        return joined

    def summary(self) -> str:
        """Classes with their numbers of training images, and the size of the splits, in one line."""
        counts = np.bincount(self.train_labels, minlength=len(self.classes))
        shown = [f"{name} {n}" for name, n in zip(self.classes, counts, strict=True)][:_SHOWN_CLASSES]
        more = f" and {len(self.classes) - len(shown)} more" if len(self.classes) > len(shown) else ""
        return (
            f"{self.name}: {len(self.classes)} classes ({', '.join(shown)}{more}), {self.n_train} training and "
            f"{self.n_val} validation images"
            + (f"; {self.test_folder.name}/ is held out" if self.test_folder is not None else "")
        )

    def remarks(self) -> list[str]:
        """What the user should know before training, one line each."""
        found = []
        if self.n_val < _FEW_DECIDING:
            found.append(
                f"{self.n_val} validation images decide between configurations; below {_FEW_DECIDING} this is left to "
                "chance: move images into the validation folder, from a test folder if there is one, else from the "
                "training images"
            )
        if self.value_range is not None:
            low, high = self.value_range
            found.append(f"images of more than 8 bits are scaled from {low:g} (black) to {high:g} (white)")
        return found

    def identity(self) -> dict[str, Any]:
        """What is kept beside results to notice that labels or images of either split have changed (see identity.py).

        Plain values, found once for this object. Unlike ``sample_hash`` it depends on names and labels.
        """
        if self._identity is None:
            try:
                self._identity = identity_of(self)
            except OSError as error:
                raise TaskError(f"the images of {self.name} must be readable, but: {first_line(error)}") from error
        return self._identity

    def sample_hashes(self) -> list[str]:
        """The task's own ``sample_hash`` and those of the tasks it was cut from."""
        return [self.sample_hash(), *(self.parent.sample_hashes() if self.parent is not None else ())]

    def sample_hash(self) -> str:
        """Identifies the task by its images: SHA-256 over the bytes of a fixed sample of 64 training images.

        It does not depend on the names of folders and files beyond their order.
        """
        if self._hash is None:
            source = self.sources["train"]
            sample = _sample(self.n_train, _HASHED_IMAGES)
            digests = in_threads(lambda i: hashlib.sha256(source.raw(i)).digest(), sample)
            self._hash = hashlib.sha256(b"".join([str(self.n_train).encode(), *sorted(digests)])).hexdigest()
        return self._hash

    def _try_square(self, split: str, size: int, index: int) -> np.ndarray | None:
        try:
            return self.sources[split].square(index, size)
        except UnreadableImageError:
            return None

    def _substitute(self, split: str, size: int, index: int) -> np.ndarray:
        labels = self.labels(split)
        name = self.sources[split].name(index)
        if name not in self.unreadable:
            self.unreadable.append(name)
        members = np.flatnonzero(labels == labels[index])
        start = int(np.searchsorted(members, index))
        for other in np.roll(members, -start)[1:]:
            square = self._try_square(split, size, int(other))
            if square is not None:
                return square
        raise TaskError(
            f"class {self.classes[labels[index]]!r} of {self.name} needs a readable image in {split}, but has none"
        )

    def _check(self) -> None:
        if len(self.classes) < 2:
            raise TaskError(f"a task needs at least 2 classes, but {self.name} has {len(self.classes)}")
        for split in SPLITS:
            labels = self.labels(split)
            if len(labels) != len(self.sources[split]):
                raise TaskError(f"{self.name}: {split} has {len(self.sources[split])} images but {len(labels)} labels")
            if len(labels) and labels.max() >= len(self.classes):
                raise TaskError(f"labels must be below {len(self.classes)}, but {self.name} {split} has {labels.max()}")
            counts = np.bincount(labels, minlength=len(self.classes))
            if not counts.all():
                empty = self.classes[int(counts.argmin())]
                raise TaskError(f"every class needs images in {split}, but {empty!r} of {self.name} has none")
