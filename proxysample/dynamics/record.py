"""What was recorded of a training: a few numbers for each sample and epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import POSITIVE_INTEGER
from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import shown

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
