"""Recording in Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from proxysample.dynamics.frameworks import (
    callback_class,
    check_key,
    check_recorder,
    leave_out_open_epoch,
    part_of,
)
from proxysample.errors import InputError

if TYPE_CHECKING:
    from proxysample.dynamics.recorder import DynamicsRecorder

MODULES = ("lightning.pytorch", "pytorch_lightning")
ADVICE = (
    "have training_step return {'loss': loss, 'logits': logits, 'index': indices, 'labels': labels}"
    ", or batches be dictionaries with them, and name other keys by indices=, logits= and labels="
)


class RecorderCallback:
    """A callback of Lightning's Trainer that records each training step.

    ``training_step`` returns a dictionary with the loss and the logits; indices and labels are
    taken from it too, or from the batch where that is a dictionary. Epochs end with the Trainer's,
    and the record is a part of its checkpoints. Both packages, ``lightning`` and
    ``pytorch_lightning``, are served. In a distributed training each rank has a recorder with
    ``partial=True``; checkpoints hold those of all ranks.

    An epoch that ``max_steps`` or the like cuts short is left out, with a warning.

    Parameters
    ----------
    recorder : DynamicsRecorder
    indices, logits, labels : str
        Keys of what `DynamicsRecorder.record` takes.
    features : str, optional
        Key of what goes into the last layer, which `grand` needs.

    Attributes
    ----------
    recorder : DynamicsRecorder
        As given, and restored from a checkpoint that the Trainer resumes from.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:  # noqa: D102
        found: Self = object.__new__(callback_class(cls, MODULES, "Callback"))
        return found

    def __init__(
        self,
        recorder: DynamicsRecorder,
        *,
        indices: str = "index",
        logits: str = "logits",
        labels: str = "labels",
        features: str | None = None,
    ) -> None:
        self.recorder = check_recorder(recorder)
        self._keys = {"indices": indices, "logits": logits, "labels": labels}
        if features is not None:
            self._keys["features"] = features
        for name, key in self._keys.items():
            check_key(name, key)
        self._epoch = 0
        self._is_whole = False

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made anew in the other process, of what that has imported.
        return _restored, (dict(vars(self)),)

    @property
    def state_key(self) -> str:
        """Name of the record in a checkpoint; those of two callbacks are told by their outputs."""
        return f"proxysample.RecorderCallback({self._keys['logits']!r})"

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record a step."""
        del pl_module, batch_idx
        # Checkpoints that a validation at the end of an epoch makes are older than its end.
        if self.recorder.is_open and trainer.current_epoch != self._epoch:
            self.recorder.end_epoch()
        places = {"training_step returned": outputs, "the batch has": batch}
        parts = {name: part_of(key, places, ADVICE) for name, key in self._keys.items()}
        self.recorder.record(
            parts["indices"], parts["logits"], parts["labels"], parts.get("features")
        )
        self._epoch = int(trainer.current_epoch)
        self._is_whole = bool(trainer.is_last_batch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End an epoch of the record."""
        del trainer, pl_module
        if not self.recorder.is_open:
            return
        if self._is_whole:
            self.recorder.end_epoch()
        else:
            leave_out_open_epoch(self.recorder)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End an epoch that a checkpoint, made by a validation at its end, left open."""
        self.on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Give the records of all ranks for a checkpoint, which all ranks make together."""
        own = {"record": self.recorder.state_dict(), "epoch": self._epoch, "whole": self._is_whole}
        _, n_ranks = _rank()
        if n_ranks == 1:
            return {"ranks": [own]}
        from torch import distributed

        ranks: list[Any] = [None] * n_ranks
        distributed.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on with the record of this rank.

        Raises
        ------
        InputError
            If it is damaged, of another dataset, or of another number of ranks.
        """
        ranks = state_dict.get("ranks") if isinstance(state_dict, Mapping) else None
        rank, n_ranks = _rank()
        if not isinstance(ranks, list) or not all(isinstance(one, Mapping) for one in ranks):
            raise InputError("the record in the checkpoint is damaged")
        if len(ranks) != n_ranks:
            raise InputError(
                f"the checkpoint has the records of {len(ranks)} ranks, and there are {n_ranks}: "
                "resume with as many"
            )
        epoch, whole = ranks[rank].get("epoch"), ranks[rank].get("whole")
        if type(epoch) is not int or type(whole) is not bool:
            raise InputError("the record in the checkpoint is damaged")
        self.recorder.load_state_dict(ranks[rank].get("record", {}))
        self._epoch, self._is_whole = epoch, whole


def _restored(attributes: dict[str, Any]) -> RecorderCallback:
    found = RecorderCallback.__new__(RecorderCallback)
    vars(found).update(attributes)
    return found


def _rank() -> tuple[int, int]:
    """Tell which of how many processes this is."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()
