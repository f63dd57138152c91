"""HuggingFace datasets by name or folder: images decoded on access, vectors read in blocks."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.blocks import BlockArray
from proxysample.data.datasets import ArrayDataset, Splits
from proxysample.data.images import read_image
from proxysample.data.labels import Unsure, kept_labels, kind_of_labels
from proxysample.data.reading import Samples
from proxysample.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS, named_column, tell_coarser
from proxysample.errors import InputError, MissingDependencyError
from proxysample.files import check_regular, check_stays, leads_out, read_bounded
from proxysample.printing import shown
from proxysample.records import read_json

Array = npt.NDArray[Any]

TEST_SPLITS = ("test", "validation", "valid")
# With an owner: to the library some single words mean readers of local files, of pickles too.
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")

# What the libraries raise on folders that are damaged or something else. Among them are
# JSON's and Arrow's errors, and Pillow's on images that do not decode.
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NotImplementedError,
    MemoryError,
    OverflowError,
)


@dataclass(frozen=True)
class _Columns:
    """Which columns were named; None looks for those that leave no doubt."""

    image: Any = None
    label: Any = None
    features: Any = None


def read_huggingface(
    name: str, *, image: Any = None, label: Any = None, features: Any = None
) -> Splits:
    """Open a dataset from a folder or from the hub.

    Parameters
    ----------
    name : str
        A folder that ``save_to_disk`` wrote, or ``OWNER/NAME`` on the hub, which needs a
        network or what an earlier download left. Scripts that come with a dataset are not run.
    image, label, features : str or int, optional
        Columns, by name or position: of images, of labels, and of vectors to take in place of
        images (or a list of columns of numbers).

    Returns
    -------
    Splits
        Split ``train``, and ``test`` or else ``validation``: `HuggingFaceImages` of any modes and
        sizes; or, where there are no images, an `ArrayDataset` of the column of vectors, or of all
        columns of numbers.

    Raises
    ------
    InputError
        If there is no such dataset, it cannot be reached or is damaged, it has no split
        ``train``, or neither images nor numbers.
    MissingDependencyError
        If the package ``datasets`` is not installed.

    Examples
    --------
    >>> import datasets, tempfile
    >>> datasets.disable_progress_bars()
    >>> columns = {"embedding": [[0.5, 1.0], [2.0, 4.0]], "label": [3, 5]}
    >>> folder = f"{tempfile.mkdtemp()}/digits"
    >>> datasets.Dataset.from_dict(columns).save_to_disk(folder)
    >>> train = read_huggingface(folder).train
    >>> train.images[:].tolist(), train.targets.tolist()
    ([[0.5, 1.0], [2.0, 4.0]], [3, 5])
    """
    spec = f"huggingface:{name}"
    splits = _load(name)
    if "train" not in splits:
        raise InputError(
            f"{spec} has the splits {', '.join(map(str, splits))}; needed: train, and "
            f"{' or '.join(TEST_SPLITS[:2])} to evaluate accuracies"
        )
    named = _Columns(image, label, features)
    home = _home_of(name)
    test = next((splits[split] for split in TEST_SPLITS if split in splits), None)
    return Splits(
        spec,
        _opened(splits["train"], spec, home, named),
        read_test=None if test is None else partial(_opened, test, spec, home, named),
    )


def _load(name: str) -> Mapping[str, Any]:
    library = _import_datasets()
    if Path(name).is_dir():
        check_saved(Path(name))
        load, arguments = library.load_from_disk, {}
    elif HUB_NAME.fullmatch(name):
        load = library.load_dataset
        # Releases before 4 ran scripts; later ones have no such parameter.
        known = inspect.signature(load).parameters
        arguments = {"trust_remote_code": False} if "trust_remote_code" in known else {}
    else:
        raise InputError(
            f"huggingface:{name}: no such folder, and no name on the hub, which is OWNER/NAME"
        )
    try:
        loaded = load(name, **arguments)
    except ConnectionError as error:
        raise InputError(
            f"huggingface:{name} is no folder here, and the hub cannot be reached: {error}; "
            "name a folder that save_to_disk wrote, or connect to a network"
        ) from None
    except (*DAMAGE, library.exceptions.DatasetsError) as error:
        raise InputError(
            f"huggingface:{name} is neither a folder that save_to_disk wrote nor a dataset on "
            f"the hub, or is damaged: {str(error)[:500]}"
        ) from None
    return loaded if isinstance(loaded, Mapping) else {"train": loaded}


# What save_to_disk writes: what is in a folder, and in which files.
SPLITS_FILE, STATE_FILE, INFO_FILE = "dataset_dict.json", "state.json", "dataset_info.json"
MOST_JSON_BYTES = 1 << 26
PLAIN_NAME = re.compile(r"(?!\.\.?$)\w[\w .+@=-]*")


def check_saved(folder: Path) -> None:
    """Refuse a folder whose notes name files outside of it, or places on a network.

    Raises
    ------
    InputError
        Naming the first that is no file in the folder.
    """
    home = Path(os.path.realpath(folder))
    if not (folder / SPLITS_FILE).exists():
        _check_split(folder, home)
        return
    splits = _notes(folder / SPLITS_FILE, home).get("splits")
    for name in splits if isinstance(splits, list) else []:
        _check_split(folder / _checked_name(name, folder / SPLITS_FILE), home)


def _check_split(folder: Path, home: Path) -> None:
    state = folder / STATE_FILE
    if not state.exists():
        return
    files = _notes(state, home).get("_data_files")
    known = files if isinstance(files, list) else []
    names = [file.get("filename") if isinstance(file, Mapping) else file for file in known]
    for name in [*names, *([INFO_FILE] if (folder / INFO_FILE).exists() else [])]:
        file = folder / _checked_name(name, state)
        check_stays(file, home)
        check_regular(file)
        if file.suffix == ".arrow":
            _check_plain(file)


# Of a message of Arrow, as its format numbers them: what follows, and where in it batches are.
KIND, HEADER = 1, 2
COMPRESSION = {2: (1, 3), 3: (3,)}


def _check_plain(file: Path) -> None:
    """Refuse batches that are compressed: few bytes of them would take any memory."""
    if any(map(_is_compressed, _messages(file))):
        raise InputError(
            f"{file} is compressed, and save_to_disk compresses nothing; save the dataset again "
            "with it"
        )


def _messages(file: Path) -> Iterator[bytes]:
    """Give what stands before each part of an Arrow stream, none of which is read."""
    pyarrow = importlib.import_module("pyarrow")
    try:
        with pyarrow.memory_map(str(file)) as stream:
            while True:
                yield pyarrow.ipc.read_message(stream).metadata.to_pybytes()
    # At the end; and what is damaged is told by who reads it.
    except (*DAMAGE, EOFError):
        return


def _is_compressed(metadata: bytes) -> bool:
    """Tell whether a message of Arrow is a batch that is compressed."""
    place = struct.unpack_from("<I", metadata)[0]
    kind = _place_of(metadata, place, KIND)
    steps = COMPRESSION.get(metadata[kind] if kind else 0)
    if steps is None:
        return False
    for number in (HEADER, *steps):
        found = _place_of(metadata, place, number)
        if found is None:
            return False
        place = found + struct.unpack_from("<I", metadata, found)[0]
    return True


def _place_of(metadata: bytes, table: int, number: int) -> int | None:
    """Find a field of a table of FlatBuffers; None where it has none such."""
    fields = table - struct.unpack_from("<i", metadata, table)[0]
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", metadata, fields)[0]:
        return None
    offset = struct.unpack_from("<H", metadata, fields + slot)[0]
    return table + offset if offset else None


def _notes(file: Path, home: Path) -> Mapping[str, Any]:
    check_stays(file, home)
    notes = read_json(read_bounded(file, MOST_JSON_BYTES), str(file))
    if not isinstance(notes, Mapping):
        raise InputError(f"{file} is damaged: it holds no names")
    return notes


def _checked_name(name: Any, file: Path) -> str:
    if not isinstance(name, str) or PLAIN_NAME.fullmatch(name) is None:
        raise InputError(f"{file} names {shown(name, 200)}, which is no file of its folder")
    return name


def _values(split: Any, column: str) -> Any:
    """Give the values of a column as Arrow has them: the library would open what some name."""
    values = split.with_format("arrow", columns=[column])[:][column]
    kind = str(values.type)
    is_plain = not values.null_count and kind.startswith(("int", "uint", "float", "double"))
    return values.to_numpy() if is_plain else values.to_pylist()


def _import_datasets() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingDependencyError(
            "a dataset huggingface:NAME needs the package datasets: "
            "pip install 'proxysample[huggingface]'"
        ) from error


def _home_of(name: str) -> Path:
    """Name the folder that the images of a dataset may lie in, where it holds paths of them."""
    home = name if Path(name).is_dir() else _import_datasets().config.HF_CACHE_HOME
    return Path(os.path.realpath(home))


def _opened(split: Any, spec: str, home: Path, named: _Columns) -> HuggingFaceImages | ArrayDataset:
    try:
        # Arrow trusts its files' offsets, and reads beyond them where these are wrong.
        split.data.validate(full=True)
        if len(split) == 0:
            raise InputError("the dataset is empty")
        labels = _label_column(split, named.label)
        image = None if named.features is not None else _image_column(split, named.image)
        if image is None and named.features is None and _columns_of_images(split):
            # Which of them is meant only who reads images has to know.
            return HuggingFaceImages(split, None, labels, spec, home)
        if image is not None:
            return HuggingFaceImages(split, image, labels, spec, home)
        features = _feature_columns(split, labels, named.features)
        if features is None:
            return HuggingFaceImages(split, None, labels, spec, home)
        targets = _unsure_labels(split) if labels is None else _values(split, labels)
        return ArrayDataset(BlockArray(_Vectors(split, features), spec), targets)
    except InputError as error:
        raise InputError(f"{spec}: {error}") from None
    except DAMAGE as error:
        raise InputError(f"{spec} is damaged: {str(error)[:500]}") from None


def _image_column(split: Any, named: Any) -> str | None:
    if named is not None:
        return named_column(split, named)
    by_name = [name for name in IMAGE_COLUMNS if name in split.column_names]
    if by_name:
        return by_name[0]
    by_type = _columns_of_images(split)
    return by_type[0] if len(by_type) == 1 else None


def _columns_of_images(split: Any) -> list[str]:
    return [name for name, kind in split.features.items() if type(kind).__name__ == "Image"]


def _label_column(split: Any, named: Any) -> str | None:
    """Name the column of labels; None where there is none, or which it is is not sure."""
    if named is not None:
        return named_column(split, named)
    known = [name for name in LABEL_COLUMNS if name in split.column_names]
    if len(known) != 1:
        return None
    tell_coarser(known[0], split.column_names)
    return known[0]


def _unsure_labels(split: Any) -> Unsure | None:
    known = [name for name in LABEL_COLUMNS if name in split.column_names]
    choices = " or ".join(f"label={name!r}" for name in known)
    several = f"the columns {' and '.join(known)} may each be the labels: pass {choices}"
    return Unsure(several) if len(known) > 1 else None


def _feature_columns(split: Any, labels: str | None, named: Any) -> list[str] | None:
    """Name the one column of vectors, or all columns of numbers; None where that is not sure."""
    if named is not None:
        several = named if isinstance(named, list | tuple) else [named]
        return [named_column(split, one) for one in several]
    vectors, numbers = [], []
    for name, kind in split.features.items():
        inner = getattr(kind, "feature", None)
        if inner is not None and _is_number(inner):
            vectors.append(name)
        elif _is_number(kind) and name != labels and name not in LABEL_COLUMNS:
            numbers.append(name)
    if len(vectors) > 1:
        return None
    return vectors or numbers or None


def _is_number(kind: Any) -> bool:
    return str(getattr(kind, "dtype", "")).startswith(("int", "uint", "float", "double"))


class _Vectors:
    """Columns of a split as the rows of a matrix."""

    def __init__(self, split: Any, columns: list[str]) -> None:
        self._columns = columns
        # Arrow's own, since numpy's format makes float32 of float64.
        self._split = split.with_format("arrow", columns=columns)
        first = self[0:1]
        self.shape = (len(split), *first.shape[1:])
        self.dtype = first.dtype

    def __getitem__(self, rows: slice) -> Array:
        table = self._split[rows]
        if len(self._columns) > 1:
            return np.column_stack([_plain(table[name]) for name in self._columns])
        column = table[self._columns[0]].combine_chunks()
        if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
            return _plain(column)[:, np.newaxis]
        if column.null_count or len(set(column.value_lengths().to_pylist())) > 1:
            raise InputError(f"column {self._columns[0]!r} holds vectors of several lengths")
        return _plain(column.flatten()).reshape(len(column), -1)


def _plain(column: Any) -> Array:
    if column.null_count:
        raise InputError("values are missing")
    return np.asarray(column.to_numpy())


class _Row(Mapping[str, Any]):
    """A row whose images are decoded when they are asked for."""

    def __init__(self, row: dict[str, Any], decode: Callable[[Any], Any]) -> None:
        self._row = row
        self._decode = decode

    def __len__(self) -> int:
        return len(self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __getitem__(self, name: str) -> Any:
        return self._decode(self._row[name])


class HuggingFaceImages:
    """The images of a split, each decoded when it is asked for, in its own size and mode.

    Where it is not sure which column holds them, items are whole rows, of which who reads images
    has to name a column.

    Attributes
    ----------
    targets : ndarray of shape (n,), int64 or str; or None
        None where there is no column of labels, or several may be it.
    classes : list of str or None
        Names of the integer labels, in order; some may have no samples.
    """

    def __init__(
        self, split: Any, column: str | None, labels: str | None, spec: str, home: Path
    ) -> None:
        self._column = column
        self._spec = spec
        self._home = home
        self._labels = labels
        values = None if labels is None else _values(split, labels)
        self.targets = None if values is None else kept_labels(values, len(split))
        self.unsure = _unsure_labels(split) if labels is None else None
        names = None if labels is None else getattr(split.features[labels], "names", None)
        self.classes = None if names is None else [str(name) for name in names]
        # As Arrow has them: the library would open whatever place a row names, on any network.
        self._split = split.with_format("arrow")

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Any:
        """Give an image as an array, channels last, and its label.

        Where it is not sure which columns hold these, the whole row as a mapping.
        """
        place = range(len(self))[int(index)]
        (row,) = self._split[place : place + 1].to_pylist()
        if self._column is None:
            return _Row(row, partial(self._decoded, index=index))
        image = self._decoded(row[self._column], index)
        if self._labels is not None:
            return image, row[self._labels]
        return {**row, IMAGE_COLUMNS[0]: image}

    def _decoded(self, image: Any, index: int) -> Any:
        if isinstance(image, Mapping) and image.keys() <= {"bytes", "path"}:
            return read_image(self._content(image, index), f"{self._spec}: image {index}")
        return np.asarray(image) if isinstance(image, list) else image

    def _content(self, image: Mapping[str, Any], index: int) -> bytes | Path:
        if image.get("bytes") is not None:
            return bytes(image["bytes"])
        path = image.get("path") or ""
        file = self._home / path
        if not path or "\0" in path or leads_out(file, self._home) or not file.is_file():
            raise InputError(
                f"{self._spec}: image {index} is the file {str(path)[:200]!r}, which is not in "
                f"{self._home}; save the dataset again with save_to_disk, which puts images into it"
            )
        return file

    @cached_property
    def images(self) -> Array:
        """All images in memory, (n, h, w, c), for those who want them there."""
        try:
            return np.asarray(Samples(self).images)
        except InputError as error:
            raise InputError(f"{self._spec}: {error}") from None

    def __repr__(self) -> str:
        return f"HuggingFaceImages({len(self):,} images, {kind_of_labels(self.targets)})"
