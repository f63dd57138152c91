"""Records that others have kept: saved arrays of outputs, and the files of dataset cartography."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array, as_tuple
from proxysample.data.decoding import tensor_to_array
from proxysample.data.shortcuts import is_tensor
from proxysample.dynamics.measures import OUTPUTS, SMALLEST, Outputs
from proxysample.dynamics.record import Dynamics, told
from proxysample.dynamics.recorder import DynamicsRecorder
from proxysample.errors import InputError, unknown_name
from proxysample.files import as_path, map_npy
from proxysample.keeping import IntArray
from proxysample.printing import shown

Array = npt.NDArray[Any]

LONGEST_LINE = 1 << 20
EPOCH_FILE = re.compile(r"(?:dynamics_epoch_)?(\d{1,6})\.jsonl")
BYTES_AT_A_TIME = 1 << 24


def from_arrays(
    outputs: Any, labels: Any, indices: Any = None, *, kind: Outputs = "logits"
) -> Dynamics:
    """Read the outputs of each epoch that a training has saved.

    Parameters
    ----------
    outputs : array of shape (epochs, n, n_classes) or (epochs, n), or sequence of its epochs
        Of three axes: outputs of all classes; for two classes the last may have one column. Of
        two: the probability of each sample's label, which serves `confidence`, `variability`,
        `dyn-unc`, `dual` and `csl`. An array, or each epoch of a sequence, may be the path of an
        ``.npy`` file, which is read as it is used.
    labels : array-like of shape (n,)
        Class codes from 0, in the order of the dataset.
    indices : array-like of shape (epochs, n), or sequence of its epochs, optional
        Which sample each row of each epoch is of, where rows are in the order of a loader that
        shuffled; by default that of the dataset.
    kind : {"logits", "probabilities"}
        What outputs of all classes are. Of two axes they are probabilities.

    Returns
    -------
    Dynamics
        In the order of the dataset; ``dynamics.scores("dual")``.

    Raises
    ------
    InputError
        If shapes do not fit, a sample is missing or there twice, or values are no outputs.

    Examples
    --------
    >>> outputs = [[[2.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [4.0, 0.0]]]
    >>> from_arrays(outputs, labels=[0, 1], indices=[[0, 1], [1, 0]]).scores("aum").tolist()
    [3.0, 2.0]
    """
    if not isinstance(kind, str) or kind not in OUTPUTS:
        raise unknown_name("kind of outputs", kind, OUTPUTS)
    codes = _codes(labels)
    epochs = _epochs_of("outputs", outputs)
    orders = None if indices is None else _epochs_of("indices", indices)
    if orders is not None and len(orders) != len(epochs):
        raise InputError(f"there are outputs of {len(epochs)} epochs and indices of {len(orders)}")
    first = _numbers("outputs", epochs[0])
    if first.ndim not in (1, 2) or len(first) != len(codes):
        raise InputError(
            f"the outputs of epoch 0 have shape {first.shape}; needed: ({len(codes)}, n_classes), "
            f"or ({len(codes)},) of the labels' probabilities"
        )
    in_order = (_rows_in_order(epochs, orders, epoch, first.shape) for epoch in range(len(epochs)))
    if first.ndim == 1:
        return _of_labels_alone(np.stack(list(in_order)), codes)
    n_classes = max(first.shape[1], 2)
    recorder = DynamicsRecorder(len(codes), n_classes, kind=kind)
    block = max(1, BYTES_AT_A_TIME // (8 * n_classes))
    for rows in in_order:
        for start in range(0, len(codes), block):
            places = np.arange(start, min(start + block, len(codes)))
            recorder.record(places, np.array(rows[places]), codes[places])
        recorder.end_epoch()
    return recorder.dynamics


def _rows_in_order(
    epochs: Sequence[Any], orders: Sequence[Any] | None, epoch: int, shape: tuple[int, ...]
) -> Array:
    rows = _numbers("outputs", epochs[epoch])
    if rows.shape != shape:
        raise InputError(
            f"the outputs of epoch {epoch} have shape {rows.shape}, and those of epoch 0 {shape}"
        )
    if orders is None:
        return rows
    order = _order(orders[epoch], shape[0], epoch)
    found = np.empty(shape, dtype=rows.dtype)
    found[order] = rows
    return found


def _order(given: Any, n_samples: int, epoch: int) -> IntArray:
    """Check that the indices of an epoch name each sample once."""
    order = _array("indices", given)
    if order.shape != (n_samples,) or order.dtype.kind not in "iu":
        raise InputError(
            f"the indices of epoch {epoch} are {order.shape} {order.dtype}; needed: ({n_samples},) "
            "integers"
        )
    outside = order[(order < 0) | (order >= n_samples)]
    if len(outside):
        raise InputError(f"the indices of epoch {epoch} hold {outside[0]}, of {n_samples} samples")
    order = order.astype(np.int64)
    _check_once(order, n_samples, f"the indices of epoch {epoch}")
    return order


def _check_once(order: IntArray, n_samples: int, what: str) -> None:
    counts = np.bincount(order, minlength=n_samples)
    missing, twice = np.flatnonzero(counts == 0), np.flatnonzero(counts > 1)
    if len(missing):
        raise InputError(f"{what} lack {len(missing)} samples ({told(missing)})")
    if len(twice):
        raise InputError(f"{what} name {len(twice)} samples more than once ({told(twice)})")


def _of_labels_alone(p_true: Array, codes: IntArray) -> Dynamics:
    wide = p_true.astype(np.float64)
    if not ((wide >= 0) & (wide <= 1)).all():
        raise InputError(
            "outputs of two axes are probabilities of the labels, in [0, 1], and these are others"
        )
    losses = -np.log(np.maximum(wide, SMALLEST))
    # One less a probability that rounds to one: no negative zeros.
    return Dynamics(
        labels=codes,
        n_classes=int(codes.max()) + 1,
        measures={"p_true": wide, "loss": (losses + 0.0).astype(np.float32)},
    )


def _codes(labels: Any) -> IntArray:
    codes = _array("labels", labels)
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or not len(codes):
        raise InputError(
            f"labels are {codes.shape} {codes.dtype}; needed: (n,) class codes, which are integers "
            "from 0"
        )
    if codes.min() < 0 or codes.max() >= np.iinfo(np.int64).max:
        raise InputError(f"labels are class codes from 0, not {codes.min()} to {codes.max()}")
    return codes.astype(np.int64)


def _epochs_of(name: str, given: Any) -> Sequence[Any]:
    """Give the epochs one by one, of which only those that are arrays already are in memory."""
    if isinstance(given, str | Path) or hasattr(given, "__array__"):
        given = _array(name, given)
        if not given.ndim:
            raise InputError(f"{name} are one number; needed: epochs of them")
    try:
        n_epochs = len(given)
        if n_epochs:
            given[0]
    # Of no sequence, or whatever anyone's raises.
    except Exception as error:
        raise InputError(
            f"{name} must be an array, or a sequence of arrays, not {shown(given)}"
        ) from error
    if not n_epochs:
        raise InputError(f"{name} hold no epoch")
    found: Sequence[Any] = given
    return found


def _numbers(name: str, given: Any) -> Array:
    array = _array(name, given)
    if array.dtype.kind != "f":
        raise InputError(f"{name} must be floating-point numbers, not {array.dtype}")
    return array


def _array(name: str, given: Any) -> Array:
    if isinstance(given, str | Path):
        return map_npy(given)
    if is_tensor(given):
        return tensor_to_array(given)
    return as_array(name, given)


def from_jsonl(
    path: str | Path | Iterable[str | Path], guids: Sequence[Any] | None = None
) -> Dynamics:
    """Read the files that dataset cartography keeps of a training.

    Each line of the file of epoch k is ``{"guid": ..., "logits_epoch_k": [...], "gold": ...}``.

    Parameters
    ----------
    path : str, Path or iterable of them
        A folder of ``dynamics_epoch_0.jsonl`` and so on, or the files in the order of epochs.
    guids : sequence, optional
        Those of the dataset's samples, in its order. Without it they have to be the integers from 0
        to n - 1: lines are in the order of a loader, which shuffles.

    Returns
    -------
    Dynamics
        In the order of the dataset.

    Raises
    ------
    InputError
        If a file is missing or damaged, or a sample is missing or there twice.
    """
    files = _files(path)
    places = None if guids is None else _places(guids)
    recorder = None
    for file in files:
        names, logits, gold = _read_epoch(file)
        if places is None:
            places = _integers_from_zero(names, file)
        unknown = [name for name in names if name not in places]
        if unknown:
            raise InputError(f"{file}: no sample of the dataset has the guid {shown(unknown[0])}")
        order = np.array([places[name] for name in names])
        if recorder is None:
            n_classes = max(logits.shape[1], 2)
            recorder = DynamicsRecorder(len(places), n_classes)
        _check_once(order, len(places), f"the lines of {file}")
        try:
            recorder.record(order, logits, gold)
            recorder.end_epoch()
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    assert recorder is not None
    return recorder.dynamics


def _files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    if isinstance(path, Iterable) and not isinstance(path, str | bytes):
        files = [as_path(one) for one in as_tuple("path", path)]
    elif (folder := as_path(path)).is_dir():
        found = {
            int(match[1]): file
            for file in folder.iterdir()
            if (match := EPOCH_FILE.fullmatch(file.name))
        }
        missing = sorted(set(range(max(found, default=0) + 1)) - found.keys())
        if missing:
            raise InputError(f"{path} holds no file of epoch {missing[0]}, or of none")
        files = [found[epoch] for epoch in sorted(found)]
    else:
        files = [folder]
    if not files:
        raise InputError("there are no files to read")
    for file in files:
        # Devices and pipes would be read for ever.
        if not file.is_file():
            raise InputError(f"{file} is missing, or no file")
    return files


def _places(guids: Sequence[Any]) -> dict[Any, int]:
    guids = as_tuple("guids", guids)
    try:
        places = {guid: place for place, guid in enumerate(guids)}
    # Of what has no hash, or whatever anyone's raises.
    except Exception as error:
        raise InputError(f"guids must be numbers or words: {error}") from error
    if len(places) != len(guids):
        raise InputError("guids name a sample twice")
    return places


def _integers_from_zero(names: list[Any], file: Path) -> dict[Any, int]:
    whole = {str(place): place for place in range(len(names))}
    if any(isinstance(name, bool) or str(name) not in whole for name in names):
        raise InputError(
            f"{file}: guids are not the integers from 0 to {len(names) - 1}, so that the order of "
            "the dataset cannot be told: pass guids=, those of its samples in its order"
        )
    return {name: whole[str(name)] for name in names}


def _read_epoch(file: Path) -> tuple[list[Any], Array, IntArray]:
    names: list[Any] = []
    logits: list[list[float]] = []
    gold: list[int] = []
    for number, line in enumerate(_lines(file), 1):
        try:
            name, row, label = _parse(line)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise InputError(f"{file}, line {number} is damaged: {error}") from error
        if logits and len(row) != len(logits[0]):
            raise InputError(
                f"{file}, line {number} has {len(row)} logits, and line 1 {len(logits[0])}"
            )
        names.append(name)
        logits.append(row)
        gold.append(label)
    if not names:
        raise InputError(f"{file} holds no line")
    return names, np.array(logits), np.array(gold)


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as stream:
            while line := stream.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise InputError(f"{file} has a line of more than {LONGEST_LINE:,} bytes")
                if line.strip():
                    yield line.decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{file}: {(error.strerror or str(error)).lower()}") from None


def _parse(line: str) -> tuple[Any, list[float], int]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError("it is no mapping")
    rows = [value for key, value in values.items() if key.startswith("logits")]
    name, label = values.get("guid"), values.get("gold")
    if not isinstance(name, int | str) or isinstance(name, bool):
        raise TypeError(f"its guid is {shown(name)}")
    if len(rows) != 1 or not isinstance(rows[0], list) or not rows[0]:
        raise TypeError("it holds no list of logits, or several")
    if type(label) is not int or not 0 <= label < max(len(rows[0]), 2):
        raise TypeError(f"its gold is {shown(label)}, no class code of {len(rows[0])}")
    if not all(type(one) in (int, float) and math.isfinite(one) for one in rows[0]):
        raise TypeError("a logit is no finite number")
    return name, [float(one) for one in rows[0]], label
