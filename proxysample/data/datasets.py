"""Datasets by name, all as arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.array_files import read_npz
from proxysample.data.decoding import check_channels_last
from proxysample.data.huggingface import read_huggingface
from proxysample.data.image_folder import OnError, read_image_folder
from proxysample.data.labels import check_labels
from proxysample.data.official import CIFAR10, CIFAR100, read_cifar, read_imagenet16
from proxysample.data.parts import Parts
from proxysample.data.reading import check_images
from proxysample.errors import InputError, unknown_name
from proxysample.registry import READERS

Array = npt.NDArray[Any]

# Names under which .npz files in the wild keep their arrays: ours, Keras's, scikit-learn's.
TRAIN_KEYS = (("train_images", "train_labels"), ("x_train", "y_train"))
TEST_KEYS = (("test_images", "test_labels"), ("x_test", "y_test"))
WHOLE_KEYS = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"))


class ArrayDataset:
    """Images and labels in memory, as a map-style dataset for any torch DataLoader.

    Parameters
    ----------
    images : ndarray of shape (n, h, w), (n, h, w, c) or (n, d)
        uint8, or floating point. Channels last.
    targets : array-like of shape (n,), optional
        Integers or strings.
    classes : sequence of str, optional
        Names of the integer classes, in order.
    files : sequence of Path, optional
        The file of each image, so that an index leads to it.

    Raises
    ------
    InputError
        If shapes, types or values cannot be used, channels come first, or a named class has no
        samples.

    Examples
    --------
    >>> dataset = ArrayDataset(np.full((2, 8, 8), 255, dtype=np.uint8), [3, 5])
    >>> image, label = dataset[0]
    >>> image.shape, image.dtype, float(image.max()), label
    (torch.Size([1, 8, 8]), torch.float32, 1.0, 3)
    """

    def __init__(
        self,
        images: Array,
        targets: Any = None,
        classes: Any = None,
        *,
        files: Sequence[Path] | None = None,
    ) -> None:
        self.images = check_images(np.asarray(images))
        if self.images.ndim == 4:
            check_channels_last(self.images)
        self.targets = None if targets is None else check_labels(targets, len(self.images))
        self.classes = None if classes is None else [str(name) for name in classes]
        self.files = None if files is None else tuple(files)
        if self.files is not None and len(self.files) != len(self.images):
            raise InputError(f"{len(self.files)} files for {len(self.images)} images")
        if self.classes is not None and self.targets is not None:
            _check_named_classes(self.targets, self.classes)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Give one image as a float32 tensor (channels first, uint8 scaled to [0, 1]), label."""
        import torch

        image = np.asarray(self.images[index])
        pixels = np.ascontiguousarray(np.moveaxis(image, -1, 0) if image.ndim == 3 else image)
        tensor = torch.from_numpy(pixels).float()
        if image.dtype == np.uint8:
            tensor /= 255
        if self.targets is None:
            return tensor, None
        label = self.targets[index]
        return tensor, label.item() if isinstance(label, np.generic) else label

    def __repr__(self) -> str:
        kinds = "no labels" if self.targets is None else f"{len(np.unique(self.targets))} classes"
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"ArrayDataset({len(self):,} samples of {shape}, {kinds})"


def _check_named_classes(targets: Array, classes: list[str]) -> None:
    if targets.dtype.kind != "i":
        return
    if targets.min() < 0 or targets.max() >= len(classes):
        raise InputError(
            f"labels run from {targets.min()} to {targets.max()}, but {len(classes)} classes "
            "are named; labels count from 0"
        )
    empty = np.setdiff1d(np.arange(len(classes)), targets)
    if len(empty):
        raise InputError(
            f"class {classes[empty[0]]!r} has no samples ({len(empty)} empty of "
            f"{len(classes)}); leave its name out, or add samples"
        )


@dataclass(frozen=True)
class Splits:
    """A dataset's training part, and its test part where it has one.

    Attributes
    ----------
    name : str
        Where it came from.
    train : ArrayDataset or ImageFiles
    test : ArrayDataset, ImageFiles or None
    """

    name: str
    train: Any
    test: Any

    def require_test(self) -> Any:
        """Give the test part, or an `InputError` that says how to add one."""
        if self.test is None:
            raise InputError(
                f"{self.name} has no test part, and accuracies need one: an .npz needs "
                "test_images and test_labels, a folder train/ and test/, a dataset of "
                "HuggingFace a split test or validation"
            )
        return self.test


def load_dataset(spec: str) -> Splits:
    """Load a dataset by name.

    Parameters
    ----------
    spec : str
        ``digits``: scikit-learn's 1,797 real 8x8 digits, of which a fifth of each class, drawn
        once and for all, is the test part. ``npz:PATH``: a file with ``images`` and ``labels``,
        or ``train_images``, ``train_labels``, ``test_images`` and ``test_labels`` (Keras's
        ``x_train`` ... will do), and optionally ``classes``. ``folder:PATH``: one folder of
        images a class, or ``train/`` and ``test/`` with these in them; an image that does
        not decode ends the reading. ``folder-skip-broken:PATH``: the same, but such images are
        left out with a warning that names them, and indices count the others (``train.files``
        tells the file of each). ``cifar10:PATH`` and
        ``cifar100:PATH``: the official files for Python or the binary ones, as their folder,
        the folder above it or the official ``.tar.gz``; CIFAR-100 with its fine labels.
        ``imagenet16-120:PATH``: the folder with the official batches of ImageNet16.
        ``huggingface:NAME``: a folder that ``save_to_disk`` wrote, or ``OWNER/NAME`` on the hub.
        Other names are those of readers that were registered (`proxysample.register`) or come
        with a plug-in: a reader takes the text after the colon and gives `Splits`; one whose
        parameter has a default can do without, and one without parameters takes none.

    Returns
    -------
    Splits

    Raises
    ------
    InputError
        If the name is unknown, or the file is missing, damaged or not a dataset.
    MissingDependencyError
        If a dataset of HuggingFace is named, and ``datasets`` is not installed.

    Examples
    --------
    >>> splits = load_dataset("digits")
    >>> splits.train, splits.test
    (ArrayDataset(1,437 samples of 8x8x1, 10 classes), ArrayDataset(360 samples of 8x8x1, 10 classes))
    """  # noqa: E501
    if not isinstance(spec, str):
        raise InputError(f"a dataset is named by a string such as 'digits', not {spec!r}")
    kind, colon, path = spec.partition(":")
    if kind not in READERS:
        raise _unknown_dataset(spec, kind)
    reader = READERS.get(kind)
    taken = list(signature(reader).parameters.values())
    if colon and not taken:
        raise InputError(f"dataset {spec!r}: {kind} takes no path")
    if not path and taken and taken[0].default is Parameter.empty:
        raise InputError(f"dataset {spec!r}: {kind} needs a path, such as {kind}:PATH")
    splits = reader(path) if path else reader()
    if not isinstance(splits, Splits):
        raise InputError(
            f"dataset {spec!r}: the reader {kind!r} gives a {type(splits).__name__}; needed: "
            "proxysample.data.Splits(name, train, test)"
        )
    return splits


def _unknown_dataset(spec: str, kind: str) -> InputError:
    path = Path(spec)
    if path.is_dir():
        return InputError(f"a folder of images is named 'folder:{spec}', not {spec!r}")
    if path.suffix == ".npz":
        return InputError(f"an .npz is named 'npz:{spec}', not {spec!r}")
    return unknown_name("dataset", kind, READERS)


def read_digits() -> Splits:
    """Read scikit-learn's digits; the test part is drawn once and for all."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    # The originals count 0 to 16 strokes of a 4x4 block: spread over the range of uint8.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    classes = [str(name) for name in digits.target_names]
    train, test = train_test_split(
        np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=0
    )
    return Splits(
        "digits",
        ArrayDataset(images[train], digits.target[train], classes),
        ArrayDataset(images[test], digits.target[test], classes),
    )


def read_npz_dataset(path: str) -> Splits:
    """Read an .npz file of images and labels."""
    name = f"npz:{path}"
    arrays = read_npz(path)
    train = _take(arrays, TRAIN_KEYS + WHOLE_KEYS)
    if train is None:
        raise InputError(
            f"{name} holds {', '.join(arrays) or 'nothing'}; needed: images and labels, or "
            "train_images and train_labels"
        )
    test = _take(arrays, TEST_KEYS)
    classes = arrays.get("classes")
    return Splits(
        name,
        ArrayDataset(*train, classes),
        None if test is None else ArrayDataset(*test, classes),
    )


def _take(arrays: dict[str, Array], keys: tuple[tuple[str, str], ...]) -> tuple[Any, Any] | None:
    for images, labels in keys:
        if images in arrays:
            return arrays[images], arrays.get(labels)
    return None


def read_folder(path: str) -> Splits:
    """Read a folder of images; one that does not decode ends the reading."""
    return _read_folder(path, "stop")


def read_folder_skip_broken(path: str) -> Splits:
    """Read a folder of images; those that do not decode are left out, with a warning."""
    return _read_folder(path, "skip")


def _read_folder(path: str, on_error: OnError) -> Splits:
    kind = "folder" if on_error == "stop" else "folder-skip-broken"
    name = f"{kind}:{path}"
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"{name}: no such folder")
    has_train, has_test = (root / "train").is_dir(), (root / "test").is_dir()
    train = read_image_folder(root / "train" if has_train else root, on_error)
    test = read_image_folder(root / "test", on_error) if has_train and has_test else None
    if test is not None and test.classes != train.classes:
        unlike = sorted({*(train.classes or ())} ^ {*(test.classes or ())})
        raise InputError(f"{name}: {unlike[0]!r} is a class in one of train/ and test/ only")
    return Splits(name, train, test)


def _splits(name: str, parts: Parts) -> Splits:
    train, test = parts.train, parts.test
    return Splits(
        name,
        ArrayDataset(train.images, train.labels, parts.classes),
        None if test is None else ArrayDataset(test.images, test.labels, parts.classes),
    )


def read_cifar10(path: str) -> Splits:
    """Read the official files of CIFAR-10."""
    return _splits(f"cifar10:{path}", read_cifar(Path(path), CIFAR10))


def read_cifar100(path: str) -> Splits:
    """Read the official files of CIFAR-100, with its fine labels."""
    return _splits(f"cifar100:{path}", read_cifar(Path(path), CIFAR100))


def read_imagenet16_120(path: str) -> Splits:
    """Read the official batches of ImageNet16, the first 120 classes."""
    return _splits(f"imagenet16-120:{path}", read_imagenet16(Path(path)))


def read_huggingface_dataset(name: str) -> Splits:
    """Read a dataset of HuggingFace, from a folder or the hub."""
    return _splits(f"huggingface:{name}", read_huggingface(name))
