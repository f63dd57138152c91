"""Datasets by name, all as arrays in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array, as_tuple
from proxysample.data.array_names import Names, part_names
from proxysample.data.blocks import BlockArray
from proxysample.data.decoding import check_channels_last
from proxysample.data.fields import Broken, Field, FieldView, check_fields
from proxysample.data.labels import is_label_file, kept_targets, kind_of_labels, read_label_file
from proxysample.data.names import DatasetName
from proxysample.data.official import CIFAR10, CIFAR100, read_cifar, read_imagenet16
from proxysample.data.parts import Parts
from proxysample.data.reading import check_layout, is_pair_of_images_and_labels
from proxysample.errors import InputError, check_name, check_names, unknown_name
from proxysample.files import npz_names, read_npz
from proxysample.isolation import isolated
from proxysample.printing import shown
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
    targets : array-like of shape (n, ...), optional
        Integers or strings for who needs classes; of any kind, such as boxes or masks, for others.
    classes : sequence of str, optional
        Names of the integer classes, in order. Not each needs samples.
    files : sequence of Path, optional
        The file of each image, so that an index leads to it.

    Raises
    ------
    InputError
        If shapes or types cannot be used, or channels come first. Values of images and labels
        are checked by who reads them.

    Examples
    --------
    >>> dataset = ArrayDataset(np.full((2, 8, 8), 255, dtype=np.uint8), [3, 5])
    >>> image, label = dataset[0]
    >>> image.shape, image.dtype, float(image.max()), label
    (torch.Size([1, 8, 8]), torch.float32, 1.0, 3)
    """

    def __init__(
        self,
        images: Array | BlockArray,
        targets: Any = None,
        classes: Any = None,
        *,
        files: Sequence[Path] | None = None,
    ) -> None:
        # What is not in memory is checked when it is read.
        is_block = isinstance(images, BlockArray)
        self.images: Array = images if is_block else check_layout(as_array("images", images))  # type: ignore[assignment]
        if self.images.ndim == 4:
            check_channels_last(self.images)
        self.targets, self.unsure = kept_targets(targets, len(self.images))
        self.classes = None if classes is None else _names_of(classes)
        self.files = None if files is None else as_tuple("files", files)
        if self.files is not None and len(self.files) != len(self.images):
            raise InputError(f"{len(self.files)} files for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Give one image as a float32 tensor (channels first, uint8 scaled to [0, 1]), label."""
        import torch

        image = np.asarray(self.images[index])
        # A copy: who changes an item changes no other's, nor a file that is mapped.
        pixels = np.moveaxis(image, -1, 0) if image.ndim == 3 else image
        tensor = torch.from_numpy(np.array(pixels, dtype=np.float32, order="C"))
        if image.dtype == np.uint8:
            tensor /= 255
        if self.targets is None:
            return tensor, None
        label = self.targets[index]
        return tensor, label.item() if isinstance(label, np.generic) else label

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"ArrayDataset({len(self):,} samples of {shape}, {kind_of_labels(self.targets)})"


def _names_of(classes: Any) -> list[str]:
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise InputError(f"classes must be a list of names, not {shown(classes)}")
    if as_array("classes", classes).ndim != 1:
        raise InputError("classes must be a list of names, one for each number of a label")
    return [str(name) for name in classes]


class Splits:
    """A dataset's training part, and its test part where it has one.

    Parameters
    ----------
    name : str
        Where it came from.
    train : ArrayDataset
        Or another map-style dataset.
    test : ArrayDataset, optional
        Or another map-style dataset.
    read_test : callable, optional
        Gives the test part, in place of `test`. It is called when that is first asked for, so
        that who selects from the training part neither waits for the test part nor hears of what
        is wrong with it.

    Examples
    --------
    >>> digits = load_dataset("digits")
    >>> splits = Splits("mine", digits.train, read_test=lambda: digits.test)
    >>> len(splits.test)
    360
    """

    def __init__(
        self,
        name: str,
        train: Any,
        test: Any = None,
        *,
        read_test: Callable[[], Any] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise InputError(f"the name of a dataset must be a text, not {shown(name)}")
        if test is not None and read_test is not None:
            raise InputError(f"{name}: give the test part or what reads it, not both")
        if read_test is not None and not callable(read_test):
            raise InputError(f"{name}: read_test must be a function, not {shown(read_test)}")
        self.name = name
        self.train = train
        self._read_test: Callable[[], Any] = (lambda: test) if read_test is None else read_test

    @cached_property
    def test(self) -> Any:
        """The test part, or None where there is none."""
        return self._read_test()

    def __getstate__(self) -> dict[str, Any]:
        # What reads a test part is often a function that no other process could be sent.
        return {"name": self.name, "train": self.train, "test": self.test}

    def __repr__(self) -> str:
        return f"Splits({self.name!r}, {self.train!r})"

    def viewed(self, **fields: Any) -> Splits:
        """Give the same parts with their fields named; see `FieldView`."""
        check_fields("viewed", fields)

        def read_test() -> FieldView | None:
            return None if self.test is None else FieldView(self.test, **fields)

        return Splits(self.name, FieldView(self.train, **fields), read_test=read_test)

    def require_test(self) -> Any:
        """Give the test part, or an `InputError` that says how to add one."""
        if self.test is None:
            raise InputError(
                f"{self.name} has no test part, and accuracies need one: an .npz needs "
                "test_images and test_labels, a folder train/ and test/, a dataset of "
                "HuggingFace a split test or validation"
            )
        return self.test


GIVEN_DATA = "given data"
"""What a pair of parts is called in a store and its reports."""


def as_splits(dataset: Any) -> Splits | None:
    """Read parts as people have them: a pair, a mapping of names, pairs of images and labels.

    Returns
    -------
    Splits or None
        None where it is one dataset, or none at all.

    Examples
    --------
    >>> images, labels = np.zeros((4, 8, 8), dtype=np.uint8), np.array([0, 0, 1, 1])
    >>> as_splits(((images, labels), (images[1:3], labels[1:3]))).test
    ArrayDataset(2 samples of 8x8x1, 2 classes)
    >>> as_splits({"train": [0, 1]})
    Splits('given data', [0, 1])
    >>> as_splits((images, labels)), as_splits(["cat.png", "dog.png"])
    (Splits('given data', ArrayDataset(4 samples of 8x8x1, 2 classes)), None)
    """
    if isinstance(dataset, Splits):
        return dataset
    if isinstance(dataset, Mapping) and "train" in dataset:
        test = next((dataset[name] for name in ("test", "validation") if name in dataset), None)
        parts = [dataset["train"], test]
    elif _is_labelled_pair(dataset):
        parts = [dataset, None]
    elif isinstance(dataset, tuple | list) and len(dataset) == 2:
        parts = list(dataset)
    else:
        return None
    parts = [ArrayDataset(*one) if _is_labelled_pair(one) else one for one in parts]
    if not all(one is None or _may_be_dataset(one) for one in parts):
        return None
    return Splits(GIVEN_DATA, *parts)


def training_part(dataset: Any) -> Any:
    """Give the training part of what names or holds one; a single dataset is its own."""
    splits = load_dataset(dataset) if isinstance(dataset, str) else as_splits(dataset)
    return dataset if splits is None else splits.train


def _is_labelled_pair(part: Any) -> bool:
    if is_pair_of_images_and_labels(part):
        return True
    if not isinstance(part, tuple) or len(part) != 2:
        return False
    images, labels = tuple(getattr(part[0], "shape", ())), part[1]
    is_list = isinstance(labels, list) and all(isinstance(one, str | int) for one in labels)
    return is_list and len(images) > 1 and images[0] == len(labels)


def _may_be_dataset(part: Any) -> bool:
    """Whether it is no sample of a list of two."""
    return not isinstance(part, str | bytes | os.PathLike | int | float | tuple | Mapping)


@isolated()
def load_dataset(
    spec: str,
    *,
    image: Field | None = None,
    label: Field | None = None,
    features: Any = None,
    broken: Broken | None = None,
    distinct_labels: bool | None = None,
    **options: Any,
) -> Splits:
    """Load a dataset by name.

    Parameters
    ----------
    spec : str
        ``digits``: scikit-learn's 1,797 real 8x8 digits, of which a fifth of each class, drawn
        once and for all, is the test part. ``npz:PATH``: a file with ``images`` and ``labels``,
        or ``train_images``, ``train_labels``, ``test_images`` and ``test_labels`` (Keras's
        ``x_train`` ... will do), and optionally ``classes``. ``folder:PATH``: one folder of
        images a class, images without classes, or ``train/`` and ``test/`` (or ``val/``) with
        these in them; files and order are those of torchvision's ImageFolder, an image that
        does not decode stops who asks for it, and links lead out of the folder only with
        ``follow_links=True``. ``csv:PATH``: paths, relative to its folder or to
        ``root``, and labels. ``npy:IMAGES.npy,LABELS.npy``, ``pt:PATH``, ``safetensors:PATH``,
        ``hdf5:PATH`` and ``zarr:PATH``: arrays; the two last are read in blocks.
        ``webdataset:PATTERN``: shards such as ``train-{000..099}.tar``. ``cifar10:PATH`` and
        ``cifar100:PATH``: the official files for Python or the binary ones, as their folder,
        the folder above it or the official ``.tar.gz``; CIFAR-100 with its fine labels.
        ``imagenet16-120:PATH``: the folder with the official batches of ImageNet16.
        ``huggingface:NAME``: a folder that ``save_to_disk`` wrote, or ``OWNER/NAME`` on the hub.
        Other names are those of readers that were registered (`proxysample.register`) or come
        with a plug-in: a reader takes the text after the colon and gives `Splits`; one whose
        parameter has a default can do without, and one without parameters takes none.
        What follows may be written before the colon instead, as in
        ``csv,root=photos,label=species:train.csv`` or ``folder,broken=skip:photos``.
    image, label, features : optional
        Where these are in a sample: a key, a column or a position; see `Samples`. In files of
        several arrays, the name of one. A reader with parameters of these names gets them, and
        otherwise the parts are views that say so.
    broken : {"stop", "skip"}, optional
        What is to be done about samples that cannot be read, by whoever reads them: the parts are
        views that say so. Nothing is decoded here, and indices stay those of all samples.
    distinct_labels : bool, optional
        Confirms that labels which are all different are classes; the parts are views that say so.
    **options
        Parameters of the reader, such as ``root`` of ``csv``.

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
        raise _no_name(spec)
    kind = re.split("[,:]", spec, maxsplit=1)[0]
    if kind not in READERS:
        raise _unknown_dataset(spec, kind)
    named = DatasetName.parse(spec)
    reader = READERS.get(kind)
    taken = signature(reader).parameters
    places = [one for one in taken.values() if one.kind is not Parameter.KEYWORD_ONLY]
    # A Path would lose a trailing slash.
    path = os.path.expanduser(named.path or "")  # noqa: PTH111
    if named.path is not None and not places:
        raise InputError(f"dataset {shown(spec)}: {kind} takes no path")
    if not path and places and places[0].default is Parameter.empty:
        raise InputError(f"dataset {shown(spec)}: {kind} needs a path, such as {kind}:PATH")
    of_samples = {
        "image": image,
        "label": label,
        "features": features,
        "broken": broken,
        "distinct_labels": distinct_labels,
    }
    given = {name: value for name, value in of_samples.items() if value is not None} | options
    twice = given.keys() & named.options.keys()
    if twice:
        raise InputError(
            f"dataset {shown(spec)}: {min(twice)} is given beside the name, too; give one"
        )
    given |= named.options
    of_reader = [one for one in taken if not places or one != places[0].name]
    known = [*of_samples, *(one for one in of_reader if one not in of_samples)]
    check_names(f"option of {kind}", given, known)
    views = {name: given.pop(name) for name in list(given) if name not in of_reader}
    # Whatever they are, it is told before anything is read.
    FieldView((), **views)
    splits = reader(path, **given) if path else reader(**given)
    if not isinstance(splits, Splits):
        raise InputError(
            f"dataset {shown(spec)}: the reader {shown(kind)} gives a "
            f"{type(splits).__name__}; needed: "
            "proxysample.data.Splits(name, train, test)"
        )
    return splits.viewed(**views) if views else splits


def _no_name(spec: object) -> InputError:
    if isinstance(spec, Path):
        return InputError(
            f"a dataset is named by a string such as 'folder:{spec}', not by a path alone, which "
            "does not say what is in it"
        )
    return InputError(f"a dataset is named by a string such as 'digits', not {shown(spec)}")


def _unknown_dataset(spec: str, kind: str) -> InputError:
    # It may be longer than any path.
    if spec and os.path.isdir(spec):  # noqa: PTH112
        return InputError(f"a folder of images is named 'folder:{spec}', not {shown(spec)}")
    suffix = Path(spec).suffix.lower()
    if suffix == ".parquet":
        return InputError(
            f"{shown(spec)} is no dataset by name: read it with pandas.read_parquet and pass the "
            "frame, or write it as CSV, which is named 'csv:PATH'"
        )
    if suffix in _READER_OF and kind not in READERS:
        reader = _READER_OF[suffix]
        article = "an" if suffix[1] in "hn" else "a"
        return InputError(f"{article} {suffix} is named '{reader}:{spec}', not {shown(spec)}")
    return unknown_name("dataset", kind, READERS)


_READER_OF = {
    ".csv": "csv",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".npy": "npy",
    ".npz": "npz",
    ".pt": "pt",
    ".pth": "pt",
    ".safetensors": "safetensors",
    ".tar": "webdataset",
    ".tsv": "csv",
    ".zarr": "zarr",
}


def read_digits() -> Splits:
    """Read scikit-learn's digits; the test part is drawn once and for all."""
    images, labels, classes, train, test = _digits()
    # Copies, which anybody may change.
    return Splits(
        "digits",
        ArrayDataset(images[train], labels[train], list(classes)),
        ArrayDataset(images[test], labels[test], list(classes)),
    )


@cache
def _digits() -> tuple[Array, Array, tuple[str, ...], Array, Array]:
    """Give images, labels, classes, and the rows of both parts; to read them takes a while."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    # The originals count 0 to 16 strokes of a 4x4 block: spread over the range of uint8.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    train, test = train_test_split(
        np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=0
    )
    return images, digits.target, tuple(map(str, digits.target_names)), train, test


def read_npz_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Read an .npz file of images and labels, each by the name of its array if that is given."""
    if is_label_file(label):
        images = read_npz_dataset(path, image=image).train.images
        return Splits(f"npz:{path}", ArrayDataset(images, read_label_file(label)))
    names = npz_names(path)
    for role, name in {"image": image, "label": label}.items():
        if name is not None:
            check_name(f"array for {role}=", name, names)
    try:
        train, test = _npz_parts(names, image, label)
    except InputError as error:
        raise InputError(f"npz:{path}: {error}") from None
    return Splits(
        f"npz:{path}",
        _read_npz_part(path, train),
        read_test=None if test is None else partial(_read_npz_part, path, test),
    )


def _npz_parts(names: list[str], image: Any, label: Any) -> tuple[Names, Names | None]:
    """Tell which arrays are meant: a pair as its writers name it, or each by any usual name."""
    train, test = (_keys_of(names, keys) for keys in (TRAIN_KEYS + WHOLE_KEYS, TEST_KEYS))
    if train is None or image is not None or label is not None:
        return part_names(names, image or (train and train[0]), label)
    return train, test


def _keys_of(names: list[str], keys: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    return next((pair for pair in keys if set(pair) <= set(names)), None)


def _read_npz_part(path: str, keys: Names) -> ArrayDataset:
    images, labels = keys
    arrays = read_npz(path, {images, "classes"} | ({labels} if labels else set()))
    return ArrayDataset(arrays[images], labels and arrays[labels], arrays.get("classes"))


def _splits(name: str, parts: Parts) -> Splits:
    def read_test() -> ArrayDataset | None:
        test = parts.test
        return None if test is None else ArrayDataset(test.images, test.labels, parts.classes)

    train = ArrayDataset(parts.train.images, parts.train.labels, parts.classes)
    return Splits(name, train, read_test=read_test)


def read_cifar10(path: str) -> Splits:
    """Read the official files of CIFAR-10."""
    return _splits(f"cifar10:{path}", read_cifar(Path(path), CIFAR10))


def read_cifar100(path: str) -> Splits:
    """Read the official files of CIFAR-100, with its fine labels."""
    return _splits(f"cifar100:{path}", read_cifar(Path(path), CIFAR100))


def read_imagenet16_120(path: str) -> Splits:
    """Read the official batches of ImageNet16, the first 120 classes."""
    return _splits(f"imagenet16-120:{path}", read_imagenet16(Path(path)))
