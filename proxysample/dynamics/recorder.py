"""Recording a training, in a loop of one's own: a line after the forward pass, one an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from proxysample.checks import BOOLEAN, as_tuple, check_values, instance_of, integer_from, one_of
from proxysample.dynamics.changes import Changes, add_at
from proxysample.dynamics.measures import DERIVED, MEASURES, OUTPUTS, Outputs
from proxysample.dynamics.pending import Batches, Measured, losses_of_classes
from proxysample.dynamics.record import (
    Dynamics,
    Header,
    arrays_from_state,
    read_record,
    state_of,
    told,
    write_record,
)
from proxysample.errors import InputError, ProxysampleWarning, level_of_caller
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray

if TYPE_CHECKING:
    from proxysample.dynamics.record import Arrays

RecordProtocol = Literal["train", "eval"]
RECORD_PROTOCOLS: tuple[RecordProtocol, ...] = ("train", "eval")


class RepeatedSamplesWarning(ProxysampleWarning):
    """Samples were presented more than once in an epoch; the message names how many."""


class DynamicsRecorder:
    """Record what a network makes of each sample in each epoch, in any training loop.

    Of each output a few numbers are kept, so that memory is that of ``n (epochs + classes)``
    numbers. Outputs stay on their device until the end of the epoch, or until they take 16 MB (128
    MB on a GPU), so that no step waits for one. Where the probabilities of an epoch take no more
    than that, they stay on the GPU too.

    An epoch ends where `end_epoch` is called, and nowhere else: that an index comes again says
    nothing, for samplers that pad or weigh repeat some. Every sample has to be there by then;
    one that was there several times counts by the mean of its measures, which is told.

    Parameters
    ----------
    n_samples, n_classes : int
        Of the dataset; two classes or more.
    kind : {"logits", "probabilities"}
        What the outputs are that `record` gets. Probabilities that are called logits are refused.
    protocol : {"train", "eval"}
        Whether outputs are those of the training steps, or of a pass at the end of each epoch. The
        two give other scores; it is written down, and changes nothing.
    changes : bool
        Whether the probabilities of the last epoch are kept, (n, n_classes), which `tdds` needs.
    partial : bool
        Whether this process sees a part of the samples only, as a rank of a distributed training
        does: gaps are then refused when the parts are merged.

    Attributes
    ----------
    n_samples, n_classes, kind, protocol, changes, partial
        As given.
    repeats : list of int
        Number of samples that were presented more than once, of each epoch.

    Examples
    --------
    >>> recorder = DynamicsRecorder(n_samples=2, n_classes=3)
    >>> for _ in range(2):
    ...     recorder.record([1, 0], np.array([[2.0, 0.5, 0.0], [1.0, 0.0, 4.0]]), labels=[0, 2])
    ...     recorder.end_epoch()
    >>> recorder.scores("aum").tolist()
    [3.0, 1.5]
    """

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        *,
        kind: Outputs = "logits",
        protocol: RecordProtocol = "train",
        changes: bool = True,
        partial: bool = False,
    ) -> None:
        check_values(
            {
                "n_samples": n_samples,
                "n_classes": n_classes,
                "kind": kind,
                "protocol": protocol,
                "changes": changes,
                "partial": partial,
            },
            {
                "n_samples": integer_from(1),
                "n_classes": integer_from(2),
                "kind": one_of("kind", OUTPUTS),
                "protocol": one_of("protocol", RECORD_PROTOCOLS),
                "changes": BOOLEAN,
                "partial": BOOLEAN,
            },
        )
        self.n_samples = int(n_samples)
        self.n_classes = int(n_classes)
        self.kind: Outputs = kind
        self.protocol: RecordProtocol = protocol
        self.changes = changes
        self.partial = partial
        self.repeats: list[int] = []
        self._epochs: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in MEASURES}
        self._held_out: list[FloatArray] = []
        self._batches = Batches(self.n_samples, self.n_classes, kind, changes)
        try:
            self._labels = np.full(self.n_samples, -1, dtype=np.int64)
            self._changes = Changes(self.n_samples, self.n_classes)
            self._begin()
        except (MemoryError, ValueError) as error:
            raise InputError(
                f"n_samples={self.n_samples} of n_classes={self.n_classes} take more memory than "
                f"there is: {error}"
            ) from error

    def _begin(self) -> None:
        self._counts = np.zeros(self.n_samples, dtype=np.int64)
        self._sums: dict[str, FloatArray] = {}
        self._changes.now = None
        self._held_out_sums = np.zeros((2, self.n_classes))

    @property
    def n_epochs(self) -> int:
        """Number of epochs that have ended."""
        return len(self.repeats)

    @property
    def is_open(self) -> bool:
        """Whether outputs were recorded since the last epoch ended."""
        return bool(self._batches.n_waiting or self._counts.any())

    def __repr__(self) -> str:
        return f"DynamicsRecorder({self.n_samples}, {self.n_classes}; {self.n_epochs} epochs)"

    def record(self, indices: Any, outputs: Any, labels: Any, features: Any = None) -> None:
        """Take down the outputs of a batch; call it after the forward pass.

        Parameters
        ----------
        indices : array-like or Tensor of shape (rows,)
            Places of the samples in the dataset; see `with_indices`.
        outputs : array or Tensor of shape (rows, n_classes)
            Of any floating type, on any device; a copy is taken. For two classes also (rows, 1) or
            (rows,): the logit, or the probability, of class 1.
        labels : array-like or Tensor of shape (rows,)
            Class codes from 0 to n_classes - 1.
        features : array or Tensor of shape (rows, d), optional
            What goes into the last layer, of which the lengths are kept for `grand`.

        Raises
        ------
        InputError
            If shapes do not fit. Values are looked at later, when they are read from the device:
            then outputs that are not finite, labels that are none or that have changed, and
            indices that are none are named.
        """
        self._batches.add(indices, outputs, labels, features)
        if self._batches.are_many:
            self._flush()

    @isolated()
    def record_held_out(self, outputs: Any, labels: Any) -> None:
        """Take down outputs of samples that are not trained on, once an epoch; `cld` needs them.

        Parameters
        ----------
        outputs, labels : array or Tensor
            See `record`.
        """
        self._held_out_sums += losses_of_classes(self.n_classes, self.kind, outputs, labels)

    def _flush(self) -> None:
        if self._batches.n_waiting:
            self._measure()

    @isolated()
    def _measure(self) -> None:
        for part in self._batches.take():
            self._add(part)

    def _add(self, part: Measured) -> None:
        indices = part.indices
        known = self._labels[indices]
        other = np.flatnonzero((known >= 0) & (known != part.labels))
        if len(other):
            row = other[0]
            raise InputError(
                f"the label of sample {indices[row]} was {known[row]} and is {part.labels[row]}: "
                "indices have to be those of the dataset's own order, whatever the loader shuffles "
                "(with_indices(dataset)), and labels those that it trains on"
            )
        self._labels[indices] = part.labels
        np.add.at(self._counts, indices, 1)
        # Once each, as in most trainings, is a plain assignment.
        are_first = bool((self._counts[indices] == 1).all())
        for name, values in part.measures.items():
            sums = self._sums.setdefault(name, np.zeros(self.n_samples))
            add_at(sums, indices, values, are_first=are_first)
        if part.probabilities is not None:
            self._changes.add(indices, part.probabilities, are_first=are_first)

    @isolated()
    def end_epoch(self) -> None:
        """Close an epoch; every sample has to have been recorded since the last.

        Raises
        ------
        InputError
            If samples are missing; the message says how many, and names the first few.

        Warns
        -----
        RepeatedSamplesWarning
            The first time that samples were presented more than once.
        """
        self._flush()
        seen = self._counts > 0
        self._check_gaps(seen)
        repeated = np.flatnonzero(self._counts > 1)
        if len(repeated) and not any(self.repeats):
            warnings.warn(
                f"epoch {self.n_epochs} presented {len(repeated)} of {self.n_samples} samples more "
                f"than once ({told(repeated)}): the means of their measures count",
                RepeatedSamplesWarning,
                stacklevel=level_of_caller(),
            )
        with_features = "gradient" in self._sums
        if self.n_epochs and seen.any() and with_features != ("gradient" in self._epochs):
            raise InputError("features were recorded in some epochs and not in others")
        divisor = np.where(seen, self._counts, np.nan)
        for name in [*MEASURES, *(["gradient"] if with_features else [])]:
            mean = self._sums.get(name, np.zeros(self.n_samples)) / divisor
            kept = mean > 0.5 if name == "right" else mean.astype({**MEASURES, **DERIVED}[name])
            self._epochs.setdefault(name, []).append(kept)
        if self.changes:
            self._epochs.setdefault("change", []).append(self._changes.end(divisor))
        self._held_out.append(self._held_out_sums)
        self.repeats.append(len(repeated))
        self._begin()

    def discard_epoch(self) -> None:
        """Forget what was recorded since the last epoch ended, as of one that was cut short."""
        self._batches = Batches(self.n_samples, self.n_classes, self.kind, self.changes)
        self._begin()

    def _check_gaps(self, seen: npt.NDArray[np.bool_]) -> None:
        if not seen.any() and not self.partial:
            raise InputError("nothing was recorded since the last epoch ended")
        missing = np.flatnonzero(~seen)
        if len(missing) and not self.partial:
            raise InputError(
                f"epoch {self.n_epochs} did not present {len(missing)} of {self.n_samples} samples "
                f"({told(missing)}): record all of them before end_epoch (drop_last=False, and no "
                "sampler that leaves some out); a rank of several has partial=True"
            )

    @property
    def dynamics(self) -> Dynamics:
        """All that was recorded, for functions of scores.

        Raises
        ------
        InputError
            If no epoch has ended, one has not, or samples are missing.
        """
        self._refuse_open_epoch()
        if not self.n_epochs:
            raise InputError("no epoch was recorded: call record(...) and then end_epoch()")
        measures = {name: np.stack(rows) for name, rows in self._epochs.items()}
        missing = np.isnan(measures["p_true"]).any(axis=0)
        if missing.any():
            raise InputError(
                f"{np.count_nonzero(missing)} of {self.n_samples} samples are missing in an epoch "
                f"({told(np.flatnonzero(missing))}): merge the parts of all ranks"
            )
        before = self._changes.before
        return Dynamics(
            labels=self._labels.copy(),
            n_classes=self.n_classes,
            measures=measures,
            held_out=self._held_out_losses(),
            probabilities=None if before is None else before.copy(),
            protocol=self.protocol,
        )

    def _refuse_open_epoch(self) -> None:
        if self.is_open:
            raise InputError("outputs were recorded since the last epoch ended: call end_epoch()")

    def _held_out_losses(self) -> FloatArray | None:
        sums, counts = self._held_out_array().transpose(1, 0, 2)
        if not counts.any():
            return None
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / counts)

    def _held_out_array(self) -> FloatArray:
        return np.array(self._held_out).reshape(-1, 2, self.n_classes)

    @isolated()
    def scores(self, name: str, **options: Any) -> FloatArray:
        """Score each sample.

        Parameters
        ----------
        name : str
            Of `proxysample.dynamics.SCORES`.
        **options
            Of that score's function, such as ``epoch=``.

        Returns
        -------
        ndarray of shape (n,), float64
            With the sign that its authors give it; ``SCORES[name].hard`` says which end is hard.

        Raises
        ------
        InputError
            If there is no such score, or what it needs was not recorded.
        """
        from proxysample.dynamics.scores import score

        return score(name, self.dynamics, **options)

    @classmethod
    def merge(cls, parts: Iterable[DynamicsRecorder]) -> Self:
        """Join what the ranks of a distributed training have recorded.

        Parameters
        ----------
        parts : iterable of DynamicsRecorder
            Of one training, made with ``partial=True``. A sample that several have of one epoch,
            as padding makes it, counts in the first of them.

        Returns
        -------
        DynamicsRecorder

        Raises
        ------
        InputError
            If they are not of one training, or samples are missing.
        """
        from proxysample.dynamics.record import merged

        given = as_tuple("parts", parts)
        for part in given:
            instance_of(DynamicsRecorder).check("each of parts", part)
        return merged(cls, list(given))

    def save(self, path: str | Path) -> None:
        """Write to an ``.npz`` file, whole or not at all; also in the middle of an epoch.

        Parameters
        ----------
        path : str or Path
        """
        write_record(path, *self._written())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing in the file is run, and each value is checked.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        DynamicsRecorder
            To be read, or to go on recording.

        Raises
        ------
        InputError
            If it is missing, damaged or another file.
        """
        return cls._read(*read_record(path))

    def state_dict(self) -> dict[str, Any]:
        """Give all of it for a checkpoint: a text and tensors, which ``torch.load`` takes safely.

        Returns
        -------
        dict
        """
        return state_of(*self._written())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : mapping
            What `state_dict` gave, of a recorder for as many samples and classes.

        Raises
        ------
        InputError
            If it is damaged, or of another dataset or other settings.
        """
        header, arrays = arrays_from_state(state)
        other = [
            f"{name}={getattr(header, name)!r}"
            for name in ("n_samples", "n_classes", "kind", "protocol", "changes", "partial")
            if getattr(header, name) != getattr(self, name)
        ]
        if other:
            raise InputError(f"the state is that of a recorder with {', '.join(other)}")
        vars(self).update(vars(self._read(header, arrays)))

    def _written(self) -> tuple[Header, Arrays]:
        self._flush()
        arrays: Arrays = {"labels": self._labels, "held_out": self._held_out_array()}
        arrays |= {f"epochs_{name}": np.array(rows) for name, rows in self._epochs.items() if rows}
        if self._changes.before is not None:
            arrays["before"] = self._changes.before
        if self._counts.any():
            arrays["counts"] = self._counts
            arrays |= {f"sums_{name}": sums for name, sums in self._sums.items()}
        if self._changes.now is not None:
            arrays["now"] = self._changes.now
        arrays["held_out_sums"] = self._held_out_sums
        header = Header(
            n_samples=self.n_samples,
            n_classes=self.n_classes,
            kind=self.kind,
            protocol=self.protocol,
            changes=self.changes,
            partial=self.partial,
            repeats=tuple(self.repeats),
        )
        return header, arrays

    @classmethod
    def _read(cls, header: Header, arrays: Arrays) -> Self:
        found = cls(
            header.n_samples,
            header.n_classes,
            kind=header.kind,
            protocol=header.protocol,
            changes=header.changes,
            partial=header.partial,
        )
        found.repeats = list(header.repeats)
        found._labels = arrays["labels"].astype(np.int64)
        found._held_out = list(arrays["held_out"])
        found._held_out_sums = arrays["held_out_sums"]
        found._changes.before = arrays.get("before")
        found._changes.now = arrays.get("now")
        found._counts = arrays.get("counts", found._counts).astype(np.int64)
        for name in {**MEASURES, **DERIVED}:
            if f"epochs_{name}" in arrays:
                found._epochs[name] = list(arrays[f"epochs_{name}"])
            if f"sums_{name}" in arrays:
                found._sums[name] = arrays[f"sums_{name}"]
        return found
