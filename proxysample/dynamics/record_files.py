"""A recorder as arrays and a text: its file, and its part of a user's checkpoint, both checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from proxysample.dynamics.measures import DERIVED, MEASURES, OUTPUTS
from proxysample.errors import InputError
from proxysample.files import check_output, read_npz, replace_file
from proxysample.records import REQUIRED, Count, Kind, Positive, Record, one_of

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
