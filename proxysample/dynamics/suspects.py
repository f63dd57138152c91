"""Samples whose labels are likely wrong, by what networks made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from proxysample.checks import has_attributes
from proxysample.dynamics.record import Dynamics
from proxysample.dynamics.recorder import DynamicsRecorder
from proxysample.dynamics.scores import aum, aum_p
from proxysample.errors import InputError, MissingDependencyError
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import shown


@dataclass(frozen=True, eq=False)
class Suspects:
    """Samples whose labels are likely wrong, the likeliest first; see `mislabelled`.

    Attributes
    ----------
    indices : ndarray of int64
        Their places in the dataset.
    labels : ndarray of int64
        The class codes that they have.
    suggested : ndarray of int64 or None
        The likeliest other class in the last epoch, where the record holds all probabilities.
    margins : ndarray of float64
        Mean over epochs and records of the label's probability less the largest other.
    """

    indices: IntArray
    labels: IntArray
    suggested: IntArray | None
    margins: FloatArray

    def __len__(self) -> int:
        return len(self.indices)

    def to_frame(self) -> Any:
        """Give a pandas frame, a row a suspect, by index."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError(
                "a frame needs pandas: pip install 'proxysample[pandas]'"
            ) from error
        columns = {"label": self.labels, "suggested": self.suggested, "margin": self.margins}
        held = {name: values for name, values in columns.items() if values is not None}
        return pd.DataFrame(held, index=pd.Index(self.indices, name="index"))


def mislabelled(record: Any, out_of_sample: Any = None) -> Suspects:
    """List the samples whose labels are likely wrong.

    Suspected is a sample of whose label the outputs were below those of another class on average
    over the epochs: the mean margin of its logits, AUM, is negative. Networks learn wrong labels by
    heart in the end, so a second record of networks that had no part in a sample tells more: where
    it is given, the mean margin of its probabilities has to be negative as well.

    Parameters
    ----------
    record : DynamicsRecorder, Dynamics, path or fitted sampler with ``record_``
        Of a training on the labels in question.
    out_of_sample : as `record`, optional
        Of networks that were not trained on the samples that they judge, such as those of a sampler
        with ``folds=5``. If `record` is that itself, it is all that is needed.

    Returns
    -------
    Suspects
        The likeliest first, by the mean of the ranks of both margins.

    Examples
    --------
    >>> recorder = DynamicsRecorder(n_samples=3, n_classes=2)
    >>> recorder.record([0, 1, 2], np.array([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), [0, 1, 0])
    >>> recorder.end_epoch()
    >>> suspects = mislabelled(recorder)
    >>> suspects.indices.tolist(), suspects.suggested.tolist()
    ([1, 2], [0, 1])
    """
    records = [_dynamics_of(record)]
    if out_of_sample is not None:
        records.append(_dynamics_of(out_of_sample))
    first, last = records[0], records[-1]
    if not np.array_equal(first.labels, last.labels):
        raise InputError(
            "the two records are not of the same samples and labels, in the same order"
        )
    suspicious = aum(first) < 0
    margins = [aum_p(one) / one.n_epochs for one in records]
    if len(records) > 1:
        suspicious &= margins[1] < 0
    ranks = np.mean([rankdata(aum(first)), *map(rankdata, margins[1:])], axis=0)
    order = np.argsort(ranks, kind="stable")
    indices = order[suspicious[order]]
    suggested = None
    if last.probabilities is not None:
        suggested = _likeliest_other(last, indices)
    return Suspects(
        indices=indices,
        labels=first.labels[indices],
        suggested=suggested,
        margins=np.mean(margins, axis=0)[indices],
    )


def _likeliest_other(dynamics: Dynamics, indices: IntArray) -> IntArray:
    """Give the likeliest class beside the label in question."""
    assert dynamics.probabilities is not None
    others = dynamics.probabilities[indices].copy()
    others[np.arange(len(indices)), dynamics.labels[indices]] = -1
    return np.asarray(others.argmax(axis=1), dtype=np.int64)


def _dynamics_of(given: Any) -> Dynamics:
    found = given.record_ if has_attributes(given, "record_") else given
    if isinstance(found, str | Path):
        found = DynamicsRecorder.load(found)
    if isinstance(found, DynamicsRecorder):
        return found.dynamics
    if isinstance(found, Dynamics):
        return found
    raise InputError(
        "a record is a DynamicsRecorder, its file, what from_arrays gave, or a sampler with a "
        f"record that has been fitted, not {shown(given)}"
    )
