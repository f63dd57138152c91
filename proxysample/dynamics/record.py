"""What was recorded of a training: a few numbers for each sample and epoch, kept and merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt

from proxysample.checks import POSITIVE_INTEGER
from proxysample.dynamics.measures import DERIVED, MEASURES, OUTPUTS
from proxysample.errors import InputError
from proxysample.files import check_output, read_npz, replace_file
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import shown
from proxysample.records import REQUIRED, Count, Kind, Positive, Record, one_of

if TYPE_CHECKING:
    from proxysample.dynamics.recorder import DynamicsRecorder


# Of samples that a message lists.
MOST_TOLD = 5

WHAT_FOR = {
    "change": "the probabilities of all classes in consecutive epochs (changes=True of the "
    "recorder; ranks that were merged hold them only where each rank saw the same samples)",
    "gradient": "what goes into the last layer: record(..., features=h)",
}


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Measures of each sample in each epoch, in the order of the dataset.

    Attributes
    ----------
    labels : ndarray of shape (n,), int64
        Class codes.
    n_classes : int
    measures : mapping of str to ndarray of shape (epochs, n)
        By the names of `proxysample.dynamics.measures.MEASURES`, and ``"change"`` and
        ``"gradient"`` where they were recorded. Epochs count from 0.
    held_out : ndarray of shape (epochs, n_classes), float64, or None
        Mean cross-entropy of each class on samples that the network was not trained on.
    probabilities : ndarray of shape (n, n_classes), float32, or None
        Of the last epoch; of a cross-fitted training what tools such as cleanlab ask for.
    protocol : str
        ``"train"``: outputs of the training steps; ``"eval"``: of a pass at the end of each epoch.
    """

    labels: IntArray
    n_classes: int
    measures: Mapping[str, npt.NDArray[Any]]
    held_out: FloatArray | None = None
    probabilities: npt.NDArray[np.float32] | None = None
    protocol: str = "train"

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return len(next(iter(self.measures.values())))

    def __repr__(self) -> str:
        sizes = f"{self.n_samples:,} samples, {self.n_classes:,} classes, {self.n_epochs:,} epochs"
        return f"Dynamics({sizes}; {', '.join(self.measures)})"

    def require(self, name: str, least_epochs: int = 1) -> npt.NDArray[Any]:
        """Give a measure, (epochs, n), or raise `InputError` saying what it needs."""
        if not isinstance(name, str) or name not in self.measures:
            every = "the outputs of all classes, not of the label's alone"
            what = WHAT_FOR.get(name, every) if isinstance(name, str) else every
            raise InputError(f"nothing was recorded that gives {shown(name)}: it needs {what}")
        POSITIVE_INTEGER.check("least_epochs", least_epochs)
        found = self.measures[name]
        if len(found) < least_epochs:
            raise InputError(
                f"{len(found)} epoch(s) were recorded; {least_epochs} or more are needed here"
            )
        rows = found[1:] if name == "change" else found
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            raise InputError(f"{name!r} is not known of all samples: it needs {WHAT_FOR[name]}")
        return found

    def scores(self, name: str, **options: Any) -> FloatArray:
        """Score each sample; see `DynamicsRecorder.scores`."""
        from proxysample.dynamics.scores import score

        return score(name, self, **options)


def told(indices: IntArray) -> str:
    """List the first few of some samples."""
    listed = ", ".join(map(str, indices[:MOST_TOLD].tolist()))
    return f"{listed}, ..." if len(indices) > MOST_TOLD else listed


Arrays = dict[str, npt.NDArray[Any]]

FORMAT = "proxysample-dynamics-1"
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))


@dataclass(frozen=True, eq=False)
class Header(Record, title="the record of a training"):
    """The settings of a recorder."""

    n_samples: Positive
    n_classes: Positive
    kind: Annotated[Any, one_of(*OUTPUTS)]
    protocol: Annotated[Any, one_of("train", "eval")]
    changes: Annotated[Any, BOOLEAN]
    partial: Annotated[Any, BOOLEAN]
    repeats: tuple[Count, ...]
    format: Annotated[str, one_of(FORMAT), REQUIRED] = FORMAT


def write_record(path: str | Path, header: Header, arrays: Arrays) -> None:
    """Write a recorder to an .npz file."""
    check_output(path, ".npz", "the record of a training is saved")
    with replace_file(path) as stream:
        np.savez(stream, allow_pickle=False, header=np.array(header.to_json()), **arrays)


def read_record(path: str | Path) -> tuple[Header, Arrays]:
    """Read and check what `write_record` wrote."""
    return _checked(read_npz(path), str(path))


def state_of(header: Header, arrays: Arrays) -> dict[str, Any]:
    """Give a recorder as a text and tensors, copies."""
    import torch

    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    return {"header": header.to_json(), **tensors}


def arrays_from_state(state: Mapping[str, Any]) -> tuple[Header, Arrays]:
    """Read and check what `state_of` gave."""
    from proxysample.data.decoding import tensor_to_array
    from proxysample.data.shortcuts import is_tensor

    where = "the state of the recorder"
    if not isinstance(state, Mapping) or not isinstance(state.get("header"), str):
        raise InputError(f"{where} is damaged: it is not what state_dict() gave")
    arrays: Arrays = {"header": np.array(state["header"])}
    for name, value in state.items():
        if name != "header" and is_tensor(value):
            arrays[name] = np.array(tensor_to_array(value))
    return _checked(arrays, where)


def _checked(arrays: Arrays, where: str) -> tuple[Header, Arrays]:
    """Refuse arrays that no recorder has: sizes, types and ranges of all are checked."""
    if "header" not in arrays:
        raise InputError(f"{where} is no record of a training: it holds {', '.join(arrays)!r:.200}")
    try:
        header = Header.from_json(str(arrays["header"]))
        _Checks(header, arrays).check()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return header, arrays


@dataclass(frozen=True)
class _Checks:
    header: Header
    arrays: Arrays

    def check(self) -> None:
        n, n_classes = self.header.n_samples, self.header.n_classes
        n_epochs = len(self.header.repeats)
        labels = self._take("labels", "i", (n,), -1, n_classes - 1)
        self._take("held_out_sums", "f", (2, n_classes), 0)
        self._take("held_out", "f", (n_epochs, 2, n_classes), 0)
        for name, kind in self._held("epochs_") if n_epochs else []:
            self._take(f"epochs_{name}", np.dtype(kind).kind, (n_epochs, n), unknown=True)
        if n_epochs:
            self._check_unknown()
        if "counts" in self.arrays:
            counts = self._take("counts", "i", (n,), 0)
            for name, _ in self._held("sums_"):
                self._take(f"sums_{name}", "f", (n,))
            labels = np.where(counts > 0, labels, 0) if not n_epochs else labels
        for name in {"before", "now"} & self.arrays.keys():
            self._take(name, "f", (n, n_classes), 0, unknown=name == "before")
        is_begun = n_epochs or "counts" in self.arrays
        if is_begun and not self.header.partial and (labels < 0).any():
            raise InputError("it is damaged: samples have no label")

    def _held(self, prefix: str) -> list[tuple[str, str]]:
        """List the measures that have to be there, and those that are."""
        kinds = {**MEASURES, **DERIVED}
        return [
            (name, kind)
            for name, kind in kinds.items()
            if (name in MEASURES or f"{prefix}{name}" in self.arrays)
            and (prefix, name) != ("sums_", "change")
        ]

    def _check_unknown(self) -> None:
        """Only parts lack samples, and then lack all of one."""
        p_true = self.arrays["epochs_p_true"]
        unknown = np.isnan(p_true)
        if unknown.any() and not self.header.partial:
            raise InputError("it is damaged: samples are missing")
        if (p_true[~unknown] < 0).any() or (p_true[~unknown] > 1).any():
            raise InputError("it is damaged: a probability is outside [0, 1]")
        for name, kind in self._held("epochs_"):
            array = self.arrays[f"epochs_{name}"]
            if kind == "bool" or name == "change":
                continue
            if not np.array_equal(np.isnan(array), unknown):
                raise InputError(f"it is damaged: {name} lacks other samples than the rest")

    def _take(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...],
        least: float | None = None,
        most: float | None = None,
        unknown: bool = False,
    ) -> npt.NDArray[Any]:
        if name not in self.arrays:
            raise InputError(f"it is damaged: it holds no {name}")
        array = self.arrays[name]
        if array.shape != shape or array.dtype.kind != kind:
            raise InputError(f"it is damaged: {name} is {array.shape} {array.dtype}, not {shape}")
        known = array[~np.isnan(array)] if unknown and kind == "f" else array
        low = least is not None and (known < least).any()
        high = most is not None and (known > most).any()
        if not np.isfinite(known).all() or low or high:
            raise InputError(f"it is damaged: {name} holds values that none can be")
        return array


RecorderT = TypeVar("RecorderT", bound="DynamicsRecorder")

SETTINGS = ("n_samples", "n_classes", "kind", "protocol", "changes", "n_epochs")


def merged(cls: type[RecorderT], parts: list[DynamicsRecorder]) -> RecorderT:
    """Take each sample of each epoch from the first part that has it."""
    if not parts:
        raise InputError("there are no parts to merge")
    first = parts[0]
    for number, part in enumerate(parts):
        part._refuse_open_epoch()
        other = [one for one in SETTINGS if getattr(part, one) != getattr(first, one)]
        if other:
            raise InputError(
                f"part {number} has {other[0]}={getattr(part, other[0])!r}, and the first "
                f"{getattr(first, other[0])!r}: only parts of one training are merged"
            )
    found = cls(
        first.n_samples,
        first.n_classes,
        kind=first.kind,
        protocol=first.protocol,
        changes=first.changes,
    )
    _merge_labels(found, parts)
    names = {name for part in parts for name, rows in part._epochs.items() if rows}
    if any(not part._epochs.get(name) for name in names for part in parts):
        raise InputError("some parts hold features and others do not")
    for epoch in range(first.n_epochs):
        # Unseen samples have no probability.
        seen = np.stack([~np.isnan(part._epochs["p_true"][epoch]) for part in parts])
        owner = seen.argmax(axis=0)
        found._check_gaps(np.asarray(seen.any(axis=0)))
        for name in names:
            rows = np.stack([part._epochs[name][epoch] for part in parts])
            found._epochs.setdefault(name, []).append(rows[owner, np.arange(found.n_samples)])
        found._held_out.append(sum((part._held_out[epoch] for part in parts), np.zeros(())))
        found.repeats.append(int(np.count_nonzero(seen.sum(axis=0) > 1)))
    if first.changes:
        parts_before = [part._changes.before for part in parts]
        known = [before for before in parts_before if before is not None]
        joined = known[0].copy() if known else None
        for before in known[1:]:
            assert joined is not None
            unknown = np.isnan(joined)
            joined[unknown] = before[unknown]
        found._changes.before = joined
    return found


def _merge_labels(found: DynamicsRecorder, parts: list[DynamicsRecorder]) -> None:
    for number, part in enumerate(parts):
        both = (found._labels >= 0) & (part._labels >= 0)
        other = np.flatnonzero(both & (found._labels != part._labels))
        if len(other):
            raise InputError(
                f"part {number} has another label of sample {other[0]} than those before it"
            )
        found._labels = np.maximum(found._labels, part._labels)
