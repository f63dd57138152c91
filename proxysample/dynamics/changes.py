"""How probabilities move from epoch to epoch, worked out on the device that gave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.keeping import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor

    Values = npt.NDArray[np.float32] | Tensor

# What the authors of TDDS add inside the logarithm.
TINY = 1e-8
ROWS_PER_CHANGE = 1 << 12
# A GPU takes fewer and larger pieces.
ROWS_ON_DEVICE = 1 << 16


class Changes:
    """Sums of an epoch's probabilities and means of the last one's, (n_samples, n_classes) each.

    Arrays are summed on the host and tensors on their device, where they stay until they are asked
    for.
    """

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self._shape = n_samples, n_classes
        self._before: Values | None = None
        self._now: Values | None = None

    @property
    def before(self) -> npt.NDArray[np.float32] | None:
        """Means of the epoch that has ended last, on the host."""
        return None if self._before is None else _on_host(self._before)

    @before.setter
    def before(self, values: npt.NDArray[np.float32] | None) -> None:
        self._before = values

    @property
    def now(self) -> npt.NDArray[np.float32] | None:
        """Sums of the epoch that is going on, on the host."""
        return None if self._now is None else _on_host(self._now)

    @now.setter
    def now(self, values: npt.NDArray[np.float32] | None) -> None:
        self._now = values

    def __getstate__(self) -> dict[str, Any]:
        # A machine without that device is to read it too.
        return {"_shape": self._shape, "_before": self.before, "_now": self.now}

    def add(self, indices: IntArray, probabilities: Values, *, are_first: bool) -> None:
        """Add probabilities to the epoch's; first are those of samples that are there once."""
        if self._now is None:
            self._now = _zeros(self._shape, probabilities)
        elif not _are_together(self._now, probabilities):
            self._now, probabilities = _on_host(self._now), _on_host(probabilities)
        if isinstance(self._now, np.ndarray):
            add_at(self._now, indices, _on_host(probabilities), are_first=are_first)
        else:
            _add_there(self._now, indices, probabilities, are_first=are_first)

    def end(self, divisor: FloatArray) -> npt.NDArray[np.float32]:
        """Close an epoch; give the sum over classes of how much p ln p moved since the last.

        NaN where that is not known. The divisor is how often a sample was there, NaN for never.
        """
        now = np.zeros(self._shape, np.float32) if self._now is None else self._now
        before = self._before
        if before is not None and not _are_together(before, now):
            before = _moved_to(before, now)
        if not (divisor == 1).all():
            now /= _moved_to(divisor[:, None].astype(np.float32), now)
        self._before, self._now = now, None
        return np.full(len(now), np.nan, np.float32) if before is None else _change(before, now)


def add_at(
    sums: npt.NDArray[Any], indices: IntArray, values: npt.NDArray[Any], *, are_first: bool
) -> None:
    """Add to rows of an array; the first in its row is put there, which is faster."""
    if are_first:
        sums[indices] = values
    else:
        np.add.at(sums, indices, values)


def _add_there(sums: Tensor, indices: IntArray, values: Any, *, are_first: bool) -> None:
    import torch

    places = torch.from_numpy(indices).to(sums.device)
    # Unlike index_add_, this adds in one order on a GPU.
    sums.index_put_((places,), values, accumulate=not are_first)


def _change(before: Any, now: Any) -> npt.NDArray[np.float32]:
    if isinstance(now, np.ndarray):
        pieces = [_piece(before[rows], now[rows], np.log) for rows in _rows(now, ROWS_PER_CHANGE)]
        return np.concatenate(pieces)
    import torch

    pieces = [_piece(before[rows], now[rows], torch.log) for rows in _rows(now, ROWS_ON_DEVICE)]
    return _on_host(torch.cat(pieces))


def _rows(values: Values, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, len(values), at_once)]


def _piece(before: Any, now: Any, log: Any) -> Any:
    # In single precision, which the probabilities are in, and which is several times as fast.
    tiny = np.float32(TINY) if isinstance(now, np.ndarray) else TINY
    moved = log(now + tiny)
    moved -= log(before + tiny)
    moved *= now
    return abs(moved).sum(1)


def _zeros(shape: tuple[int, int], like: Values) -> Values:
    if isinstance(like, np.ndarray):
        return np.zeros(shape, dtype=np.float32)
    import torch

    return torch.zeros(shape, dtype=torch.float32, device=like.device)


def _are_together(one: Values, other: Values) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return one.device == other.device


def _moved_to(values: Values, other: Values) -> Any:
    if isinstance(other, np.ndarray):
        return _on_host(values)
    import torch

    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return tensor.to(other.device)


def _on_host(values: Values) -> npt.NDArray[np.float32]:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()
