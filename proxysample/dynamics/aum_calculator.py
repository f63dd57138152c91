"""The calls of the package ``aum``, for loops that were written for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from proxysample.checks import BOOLEAN, as_array, as_tuple, check_values
from proxysample.dynamics.measures import MEASURES
from proxysample.dynamics.pending import dense_tensor, measure_checked, outputs_tensor
from proxysample.errors import InputError
from proxysample.files import as_path, check_writable, make_folder, replace_file
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray
from proxysample.printing import shown

if TYPE_CHECKING:
    from torch import Tensor

SampleId = int | str
VALUES, RECORDS = "aum_values.csv", "full_aum_records.csv"
ROWS_WAITING = 1 << 16


class AUMCalculator:
    """Mean margins of logits by samples' names, as the package ``aum`` is called.

    ``from proxysample.dynamics import AUMCalculator`` in place of ``from aum import AUMCalculator``
    is all of the migration where what `update` returns is not used: it returns nothing, so that
    training does not wait for the device. Indices in place of names, and `DynamicsRecorder`, give
    the other scores too.

    Parameters
    ----------
    save_dir : str or Path
        Folder for the files that `finalize` writes.
    compressed : bool
        False writes each margin too, as ``full_aum_records.csv``.

    Examples
    --------
    >>> import tempfile
    >>> calculator = AUMCalculator(tempfile.mkdtemp())
    >>> for _ in range(2):
    ...     calculator.update(np.array([[2.0, 0.5], [1.0, 4.0]]), [0, 0], ["cat.png", "dog.png"])
    >>> calculator.values()
    {'cat.png': 1.5, 'dog.png': -3.0}
    >>> calculator.finalize()
    """

    def __init__(self, save_dir: str | Path, compressed: bool = True) -> None:
        check_values({"compressed": compressed}, {"compressed": BOOLEAN})
        self.save_dir = as_path(save_dir)
        self.compressed = bool(compressed)
        self._waiting: list[tuple[list[SampleId], Tensor, Any]] = []
        self._places: dict[SampleId, int] = {}
        self._sums: list[float] = []
        self._counts: list[int] = []
        self._margins: list[tuple[SampleId, int, float, float]] = []

    def update(self, logits: Any, targets: Any, sample_ids: Iterable[SampleId]) -> None:
        """Take down the outputs of a batch.

        Parameters
        ----------
        logits : array or Tensor of shape (rows, n_classes)
        targets : array-like or Tensor of shape (rows,)
            Class codes.
        sample_ids : iterable of str or int
            Names, by which a sample is known again in the next epoch.

        Raises
        ------
        InputError
            If they do not fit together. Values are looked at when they are read from the device.
        """
        import torch

        if isinstance(logits, torch.Tensor):
            logits = dense_tensor("logits", logits, "numbers")
        else:
            logits = as_array("logits", logits)
        if logits.ndim != 2:
            raise InputError(f"logits have shape {tuple(logits.shape)}; needed: (rows, n_classes)")
        values = outputs_tensor(logits, int(np.shape(logits)[1]))
        names = [_name(one) for one in as_tuple("sample_ids", sample_ids)]
        if isinstance(targets, torch.Tensor):
            labels = dense_tensor("targets", targets, "codes of classes").detach().clone()
        else:
            array = as_array("targets", targets)
            if array.dtype.kind not in "iu":
                raise InputError(f"targets have type {array.dtype}; needed: codes of classes")
            labels = torch.as_tensor(array.astype(np.int64), device="cpu")
        if tuple(labels.shape) != (len(values),) or len(names) != len(values):
            raise InputError(
                f"there are {len(values)} rows of logits, targets of shape {tuple(labels.shape)} "
                f"and {len(names)} sample_ids: one of each a sample is needed"
            )
        self._waiting.append((names, values, labels))
        if sum(len(one) for one, _, _ in self._waiting) >= ROWS_WAITING:
            self._measure()

    @isolated()
    def _measure(self) -> None:
        waiting, self._waiting = self._waiting, []
        for names, logits, labels in waiting:
            pieces = [(logits, labels.to(logits.device))]
            measures, _, _ = measure_checked(pieces, logits.shape[1], "logits")
            self._add(names, _margins(measures))

    def _add(self, names: list[SampleId], margins: FloatArray) -> None:
        for name, margin in zip(names, margins.tolist(), strict=True):
            place = self._places.setdefault(name, len(self._sums))
            if place == len(self._sums):
                self._sums.append(0.0)
                self._counts.append(0)
            self._sums[place] += margin
            self._counts[place] += 1
            if not self.compressed:
                count = self._counts[place]
                self._margins.append((name, count, margin, self._sums[place] / count))

    def values(self) -> dict[SampleId, float]:
        """Give the mean margin of each sample so far.

        Returns
        -------
        dict
            Low is hard; a wrong label's is negative.
        """
        self._measure()
        return {
            name: self._sums[place] / self._counts[place] for name, place in self._places.items()
        }

    def finalize(self, save_dir: str | Path | None = None) -> None:
        """Write ``aum_values.csv``: sample_id and aum, the highest first.

        Parameters
        ----------
        save_dir : str or Path, optional
            Another folder.
        """
        folder = self.save_dir if save_dir is None else as_path(save_dir)
        values = self.values()
        if not values:
            raise InputError("nothing was recorded: call update(logits, targets, sample_ids)")
        make_folder(folder)
        ordered = sorted(values.items(), key=lambda pair: -pair[1])
        _write(folder / VALUES, ("sample_id", "aum"), ordered)
        if not self.compressed:
            heads = ("sample_id", "num_measurements", "margin", "aum")
            rows = sorted(self._margins, key=lambda row: (self._places[row[0]], row[1]))
            _write(folder / RECORDS, heads, rows)


def _name(given: Any) -> SampleId:
    try:
        found = given.item() if hasattr(given, "item") else given
    # Of several, or of what has none.
    except Exception:
        found = None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise InputError(f"sample_ids are strings or integers, not {shown(given)}")
    return found


def _margins(measures: FloatArray) -> FloatArray:
    return np.asarray(measures[list(MEASURES).index("margin")])


def _write(path: Path, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    check_writable(path)
    with replace_file(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(rows)
        text.flush()
        text.detach()
