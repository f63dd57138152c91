"""Outputs that wait on their device, so that training does not wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_tuple, check_unmasked
from proxysample.dynamics.measures import (
    MEASURES,
    Outputs,
    are_probabilities,
    as_logits,
    measure,
)
from proxysample.errors import InputError
from proxysample.isolation import is_for_memory
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import shown

if TYPE_CHECKING:
    from torch import Tensor

BYTES_WAITING = 1 << 24
# A GPU is waited for when it is read from, and has room.
BYTES_ON_DEVICE = 1 << 27
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Measured:
    """Measures of some samples, on the host; probabilities where a device has room for all."""

    indices: IntArray
    labels: IntArray
    measures: dict[str, FloatArray]
    probabilities: npt.NDArray[np.float32] | Tensor | None


@dataclass(frozen=True)
class _Batch:
    indices: Tensor
    outputs: Tensor
    labels: Tensor
    squares: Tensor | None

    @property
    def kind(self) -> tuple[Any, ...]:
        """Batches of one kind are measured together."""
        return self.outputs.device, self.outputs.ndim, self.squares is None


class Batches:
    """Batches of outputs as they were recorded, measured when they are many."""

    def __init__(
        self, n_samples: int, n_classes: int, outputs: Outputs, with_probabilities: bool
    ) -> None:
        self._n_samples = n_samples
        self._n_classes = n_classes
        self._kind: Outputs = outputs
        self._with_probabilities = with_probabilities
        self._waiting: list[_Batch] = []
        self._share = 0.0

    @property
    def n_waiting(self) -> int:
        """Batches that were not measured yet."""
        return len(self._waiting)

    @property
    def are_many(self) -> bool:
        """Whether they take enough memory to be measured."""
        return self._share >= 1

    def add(self, indices: Any, outputs: Any, labels: Any, features: Any) -> None:
        """Copy a batch; shapes are checked now, values when they are read."""
        values = outputs_tensor(outputs, self._n_classes)
        rows = len(values)
        places = _integers("indices", indices, rows)
        if places.device.type == "cpu":
            check_indices(places.numpy(), self._n_samples)
        squares = None
        if features is not None:
            squares = _floats("features", features)
            if squares.ndim < 2 or len(squares) != rows:
                raise InputError(
                    f"there are {rows} outputs, and features of shape {tuple(squares.shape)}; "
                    f"needed: ({rows}, n_features)"
                )
            squares = squares.flatten(1)
            squares = squares.float().square().sum(dim=1)
        self._waiting.append(_Batch(places, values, _integers("labels", labels, rows), squares))
        is_here = values.device.type == "cpu"
        self._share += values.nbytes / (BYTES_WAITING if is_here else BYTES_ON_DEVICE)

    def take(self) -> Iterator[Measured]:
        """Measure what waits, and forget it."""
        import torch

        waiting, self._waiting, self._share = self._waiting, [], 0.0
        for _, batches in groupby(waiting, key=lambda batch: batch.kind):
            # Entered for each: whoever takes one is to compute in modes of their own.
            with torch.no_grad():
                measured = self._measured(list(batches))
            yield measured

    def _measured(self, batches: list[_Batch]) -> Measured:
        import torch

        indices = torch.cat([one.indices.cpu() for one in batches]).numpy()
        check_indices(indices, self._n_samples)
        pieces = [
            (
                torch.cat([one.outputs for one in some]),
                torch.cat([one.labels.to(one.outputs.device) for one in some]),
            )
            for some in _pieces(batches)
        ]
        measures, codes, probabilities = measure_checked(
            pieces, self._n_classes, self._kind, indices, self._with_probabilities
        )
        named = dict(zip(MEASURES, measures, strict=True))
        if batches[0].squares is not None:
            lengths = torch.cat([one.squares for one in batches if one.squares is not None])
            named["gradient"] = named["error"] * np.sqrt(1 + lengths.double().cpu().numpy())
        has_room = 4 * self._n_samples * self._n_classes <= BYTES_ON_DEVICE
        if probabilities is None or (has_room and probabilities.device.type != "cpu"):
            return Measured(indices, codes, named, probabilities)
        return Measured(indices, codes, named, probabilities.cpu().numpy())


def _pieces(batches: list[_Batch]) -> Iterator[list[_Batch]]:
    """Cut into pieces that are measured at once, which takes several times their memory."""
    piece: list[_Batch] = []
    n_bytes = 0
    for batch in batches:
        piece.append(batch)
        n_bytes += batch.outputs.nbytes
        if n_bytes >= BYTES_WAITING:
            yield piece
            piece, n_bytes = [], 0
    if piece:
        yield piece


def losses_of_classes(n_classes: int, kind: Outputs, outputs: Any, labels: Any) -> FloatArray:
    """Sum the losses of each class, and count its samples: (2, n_classes)."""
    import torch

    with torch.no_grad():
        values = outputs_tensor(outputs, n_classes)
        targets = _integers("labels", labels, len(values)).to(values.device)
        measures, codes = measure_checked([(values, targets)], n_classes, kind)[:2]
    losses = measures[list(MEASURES).index("loss")]
    sums = np.bincount(codes, losses, minlength=n_classes)
    return np.stack([sums, np.bincount(codes, minlength=n_classes)])


def measure_checked(
    pieces: list[tuple[Tensor, Tensor]],
    n_classes: int,
    kind: Outputs,
    indices: IntArray | None = None,
    with_probabilities: bool = False,
) -> tuple[FloatArray, IntArray, Tensor | None]:
    """Measure outputs, and refuse those that cannot be by what is wrong, with the sample's index.

    All is read from the device at once, but for the probabilities, which stay there.
    """
    import torch

    of_pieces = [_unread(outputs, labels, n_classes, kind) for outputs, labels in pieces]
    read = torch.cat([values for values, _ in of_pieces], dim=1).cpu().numpy()
    found, (label_ok, finite, probable, own) = read[:-4], read[-4:]
    names = np.arange(len(own)) if indices is None else indices
    _refuse(names[label_ok == 0], f"the label of {{}} is none of 0 to {n_classes - 1}")
    _refuse(names[finite == 0], "the outputs of {} are not finite: the training has diverged")
    if kind == "probabilities":
        _refuse(names[probable == 0], "the outputs of {} are no probabilities: pass logits")
    elif pieces[0][0].ndim == 2 and probable.all() and not _are_whole(pieces):
        raise InputError(
            "these outputs are probabilities, and were said to be logits, of which margins would "
            "be others: pass what goes into the softmax, or kind='probabilities'"
        )
    _refuse(
        names[(np.abs(found) > LARGEST).any(axis=0)],
        "the outputs of {} are beyond what single precision holds",
    )
    kept = torch.cat([one.float() for _, one in of_pieces]) if with_probabilities else None
    return found, own.astype(np.int64), kept


def _are_whole(pieces: list[tuple[Tensor, Tensor]]) -> bool:
    return all(bool((outputs % 1 == 0).all()) for outputs, _ in pieces)


def _unread(
    outputs: Tensor, labels: Tensor, n_classes: int, kind: Outputs
) -> tuple[Tensor, Tensor]:
    """Give measures with what is to be checked, and probabilities, without waiting for them."""
    import torch

    logits = as_logits(outputs, kind)
    outputs = outputs.to(logits.device)
    wide = labels.to(logits.device).double()
    # Compared before they are used: a label that is none would stop a GPU for good.
    is_label = (wide >= 0) & (wide < n_classes) & (wide == wide.floor())
    codes = torch.where(is_label, wide, 0).long()
    # What is no number is neither.
    is_finite = (logits.amin(dim=1) > -torch.inf) & (logits.amax(dim=1) < torch.inf)
    measures, probabilities = measure(logits, codes)
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        likely = are_probabilities(logits if kind == "logits" else outputs)
    else:
        likely = ((outputs >= 0) & (outputs <= 1)).reshape(len(outputs))
    flags = torch.stack([is_label, is_finite, likely, codes]).double()
    return torch.cat([measures, flags]), probabilities


def _refuse(indices: IntArray, words: str) -> None:
    if len(indices):
        raise InputError(words.format(f"sample {indices[0]}"))


def check_indices(indices: IntArray, n_samples: int) -> None:
    """Refuse places where no sample is."""
    outside = indices[(indices < 0) | (indices >= n_samples)]
    if len(outside):
        raise InputError(
            f"index {outside[0]} was recorded, and there are {n_samples} samples: indices are "
            f"places in the whole dataset, from 0 to {n_samples - 1}"
        )


def outputs_tensor(outputs: Any, n_classes: int) -> Tensor:
    """Copy outputs, and check that they are of so many classes."""
    values = _floats("outputs", outputs)
    one_column = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    fits = values.ndim == 2 and values.shape[1] == n_classes
    if not fits and not (n_classes == 2 and one_column):
        wanted = "(rows, 2), (rows, 1) or (rows,)" if n_classes == 2 else f"(rows, {n_classes})"
        raise InputError(f"outputs have shape {tuple(values.shape)}; needed: {wanted}")
    return values.reshape(-1) if one_column else values


def dense_tensor(name: str, given: Any, what: str) -> Tensor:
    """Give anything of numbers as a tensor; `InputError` where it is none."""
    import torch

    if isinstance(given, torch.Tensor):
        if given.is_nested or given.layout != torch.strided or given.is_quantized:
            raise InputError(f"{name} must be a dense tensor of {what}, not {shown(given)}")
        return given
    check_unmasked(name, given)
    try:
        if not hasattr(given, "__array__"):
            # As a list, it has an end.
            given = as_tuple(name, given)
        return torch.from_numpy(np.asarray(given))
    # Of no numbers, or whatever anyone's object raises.
    except Exception as error:
        raise InputError(f"{name} must be {what}, not {shown(given)}") from error


def _floats(name: str, given: Any) -> Tensor:
    values = dense_tensor(name, given, "numbers")
    if not values.is_floating_point() or not values.ndim:
        raise InputError(f"{name} must be floating-point numbers (rows, ...), not {values.dtype}")
    try:
        return values.detach().clone()
    except (MemoryError, RuntimeError) as error:
        if is_for_memory(error):
            raise InputError(f"{name} take more memory than there is: {error}") from error
        raise


def _integers(name: str, given: Any, rows: int) -> Tensor:
    """Copy indices or labels, which losses of two classes take as floating-point numbers."""
    values = dense_tensor(name, given, "integers")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if tuple(values.shape) != (rows,):
        hint = "; mixed or one-hot labels have to be class codes" if values.ndim == 2 else ""
        raise InputError(
            f"{name} have shape {tuple(values.shape)} for {rows} rows of outputs{hint}"
        )
    if values.is_complex() or (name == "indices" and values.is_floating_point()):
        raise InputError(f"{name} must be integers, not {values.dtype}")
    kept = values.detach()
    return kept.clone() if name == "labels" else kept.long().clone()
