"""HuggingFace datasets by name or folder, decoded into arrays."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from proxysample.data.parts import Part, Parts
from proxysample.data.reading import Samples
from proxysample.data.tables import LABEL_COLUMNS
from proxysample.errors import InputError, MissingDependencyError

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


def read_huggingface(name: str) -> Parts:
    """Read a dataset from a folder or from the hub.

    Parameters
    ----------
    name : str
        A folder that ``save_to_disk`` wrote, or ``OWNER/NAME`` on the hub, which needs a
        network or what an earlier download left. Scripts that come with a dataset are not run.

    Returns
    -------
    Parts
        Split ``train``, and ``test`` or else ``validation``, which is decoded only when it is
        asked for. Classes are named where the label column names them.

    Raises
    ------
    InputError
        If there is no such dataset, it cannot be reached or is damaged, or it has no split
        ``train``, no images or images of several sizes.
    MissingDependencyError
        If the package ``datasets`` is not installed.

    Examples
    --------
    >>> import datasets, tempfile
    >>> import numpy as np
    >>> datasets.disable_progress_bars()
    >>> columns = {"image": np.zeros((2, 8, 8), dtype=np.uint8), "label": [3, 5]}
    >>> folder = f"{tempfile.mkdtemp()}/digits"
    >>> datasets.Dataset.from_dict(columns).save_to_disk(folder)
    >>> part = read_huggingface(folder).train
    >>> part.images.shape, part.labels.tolist()
    ((2, 8, 8, 1), [3, 5])
    """
    splits = _load(name)
    if "train" not in splits:
        raise InputError(
            f"huggingface:{name} has the splits {', '.join(map(str, splits))}; needed: train, and "
            f"{' or '.join(TEST_SPLITS[:2])} to judge accuracies"
        )
    test = next((splits[split] for split in TEST_SPLITS if split in splits), None)
    return Parts(
        train=_read_part(splits["train"], name),
        read_test=None if test is None else partial(_read_part, test, name),
        classes=_class_names(splits["train"]),
    )


def _load(name: str) -> Mapping[str, Any]:
    library = _import_datasets()
    if Path(name).is_dir():
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


def _import_datasets() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingDependencyError(
            "a dataset huggingface:NAME needs the package datasets: "
            "pip install 'proxysample[huggingface]'"
        ) from error


def _read_part(split: Any, name: str) -> Part:
    try:
        # Arrow trusts its files' offsets, and reads beyond them where these are wrong.
        split.data.validate(full=True)
        samples = Samples(split)
        return Part(samples.images, samples.labels)
    except InputError as error:
        raise InputError(f"huggingface:{name}: {error}") from None
    except DAMAGE as error:
        raise InputError(f"huggingface:{name} is damaged: {str(error)[:500]}") from None


def _class_names(split: Any) -> list[str] | None:
    column = next((name for name in LABEL_COLUMNS if name in split.column_names), None)
    names = getattr(split.features[column], "names", None) if column is not None else None
    return None if names is None else [str(one) for one in names]
