"""Recording in the Trainer of HuggingFace's transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from proxysample.dynamics.frameworks import (
    callback_class,
    check_key,
    check_recorder,
    leave_out_open_epoch,
    part_of,
)
from proxysample.errors import InputError
from proxysample.files import make_folder

if TYPE_CHECKING:
    from torch import Tensor

    from proxysample.dynamics.recorder import DynamicsRecorder

MODULES = ("transformers",)
ADVICE = (
    "add a column of places to the dataset, dataset.add_column('index', range(len(dataset))), and "
    "have the collator pass it and the labels on"
)


class RecordingTrainerMixin:
    """What a Trainer records each training step with; stands in front of ``Trainer``.

    ``class RecordingTrainer(RecordingTrainerMixin, Trainer)``. The column of indices is taken out
    of each batch before the model sees it. Epochs end with the Trainer's, and each checkpoint holds
    the record as ``dynamics-RANK.npz``, which ``train(resume_from_checkpoint=...)`` goes on from.
    In a distributed training each rank has a recorder with ``partial=True``.

    An epoch that ``max_steps`` or the like cuts short is left out, with a warning.

    Parameters
    ----------
    *args, **kwargs
        Of ``Trainer``, whose arguments have ``remove_unused_columns=False``.
    recorder : DynamicsRecorder
    indices, labels : str
        Columns of a batch.

    Raises
    ------
    InputError
        If the Trainer would drop the indices, or a batch has none.
    """

    if TYPE_CHECKING:
        args: Any

        add_callback: Callable[[Any], None]

    def __init__(
        self,
        *args: Any,
        recorder: DynamicsRecorder,
        indices: str = "index",
        labels: str = "labels",
        **kwargs: Any,
    ) -> None:
        self.recorder = check_recorder(recorder, "train")
        for name, key in {"indices": indices, "labels": labels}.items():
            check_key(name, key)
        self._indices, self._labels = indices, labels
        super().__init__(*args, **kwargs)
        if self.args.remove_unused_columns:
            raise InputError(
                f"the Trainer drops columns that the model does not take, and {indices!r} with "
                "them: TrainingArguments(remove_unused_columns=False)"
            )
        self.add_callback(EpochEnds(self.recorder))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """Compute the loss as the Trainer does, and record the outputs of a training step."""
        rest = {name: value for name, value in inputs.items() if name != self._indices}
        compute: Callable[..., Any] = super().compute_loss  # type: ignore[misc]
        loss, outputs = compute(model, rest, return_outputs=True, **kwargs)
        if model.training:
            places = {"the batch has": inputs}
            self.recorder.record(
                part_of(self._indices, places, ADVICE),
                _logits_of(outputs),
                part_of(self._labels, places, ADVICE),
            )
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Predict as the Trainer does, without the indices."""
        rest = {name: value for name, value in inputs.items() if name != self._indices}
        predict: Callable[..., Any] = super().prediction_step  # type: ignore[misc]
        return predict(model, rest, *args, **kwargs)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as the Trainer does; a checkpoint's record is gone on from."""
        if resume_from_checkpoint:
            self._resume(resume_from_checkpoint)
        train: Callable[..., Any] = super().train  # type: ignore[misc]
        return train(resume_from_checkpoint, *args, **kwargs)

    def _resume(self, checkpoint: Any) -> None:
        from proxysample.dynamics.recorder import DynamicsRecorder

        if checkpoint is True:
            tools = import_module("transformers.trainer_utils")
            checkpoint = tools.get_last_checkpoint(self.args.output_dir)
        # The Trainer says what is wrong where there is none.
        if checkpoint is not None:
            path = Path(checkpoint) / _name(self.args)
            self.recorder.load_state_dict(DynamicsRecorder.load(path).state_dict())


class EpochEnds:
    """Ends epochs of a record with those of the Trainer, and saves it beside its checkpoints."""

    def __new__(cls, *_: Any) -> Self:  # noqa: D102
        found: Self = object.__new__(callback_class(cls, MODULES, "TrainerCallback"))
        return found

    def __init__(self, recorder: DynamicsRecorder) -> None:
        self.recorder = recorder

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the epoch that a checkpoint of its last step left open."""
        del args, control
        if self.recorder.is_open and _is_whole(state):
            self.recorder.end_epoch()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End an epoch of the record."""
        del args, control
        if not self.recorder.is_open:
            return
        if _is_whole(state):
            self.recorder.end_epoch()
        else:
            leave_out_open_epoch(self.recorder)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save the record in the checkpoint."""
        del control
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        make_folder(folder)
        self.recorder.save(folder / _name(args))


class EvaluationRecorder:
    """A callback of the Trainer that records a pass over all samples at the end of each epoch.

    The model is in its evaluation mode then. Works beside any Trainer, and costs a pass over the
    dataset an epoch. Of several processes the first records all samples.

    Parameters
    ----------
    recorder : DynamicsRecorder
        With ``protocol="eval"``.
    dataset : map-style dataset of dictionaries
        All samples, in the order of the dataset, as the model takes them.
    labels : str
        Column of the class codes.
    indices : str
        Column that the model is not given, if there is one.
    collate : callable, optional
        What makes a batch of samples: the Trainer's ``data_collator``. By default that of
        transformers, without padding.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:  # noqa: D102
        found: Self = object.__new__(callback_class(cls, MODULES, "TrainerCallback"))
        return found

    def __init__(
        self,
        recorder: DynamicsRecorder,
        dataset: Any,
        *,
        labels: str = "labels",
        indices: str = "index",
        collate: Callable[..., Any] | None = None,
    ) -> None:
        self.recorder = check_recorder(recorder, "eval")
        for name, key in {"indices": indices, "labels": labels}.items():
            check_key(name, key)
        if len(dataset) != recorder.n_samples:
            raise InputError(
                f"the recorder is for {recorder.n_samples} samples, and the dataset has "
                f"{len(dataset)}"
            )
        self._dataset, self._labels, self._indices = dataset, labels, indices
        self._collate = collate

    def on_epoch_end(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        """Record an epoch."""
        import torch
        from torch.utils.data import DataLoader

        del control
        if not state.is_world_process_zero:
            return
        loader = DataLoader(
            self._dataset,
            batch_size=args.per_device_eval_batch_size,
            collate_fn=self._collate or import_module("transformers").default_data_collator,
        )
        was_training = model.training
        model.eval()
        start = 0
        try:
            with torch.no_grad():
                for batch in loader:
                    start = self._record(model, batch, start)
        finally:
            model.train(was_training)
        self.recorder.end_epoch()

    def _record(self, model: Any, batch: Any, start: int) -> int:
        import torch

        labels = part_of(self._labels, {"the batch has": batch}, ADVICE)
        device = next(model.parameters()).device
        given = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
            if name != self._indices
        }
        end = start + len(labels)
        self.recorder.record(
            torch.arange(start, end, device="cpu"), _logits_of(model(**given)), labels
        )
        return end


def _logits_of(outputs: Any) -> Tensor:
    """Take the logits where models of transformers have them: by name, or after the loss."""
    if isinstance(outputs, Mapping):
        found: Tensor = part_of("logits", {"the model's outputs": outputs}, "name them so")
        return found
    if isinstance(outputs, tuple | list) and len(outputs) > 1:
        return outputs[1]  # type: ignore[no-any-return]
    raise InputError("the model gives no logits: have it return {'loss': loss, 'logits': logits}")


def _is_whole(state: Any) -> bool:
    """Tell whether the Trainer stands between two epochs."""
    epoch = float(state.epoch or 0)
    return abs(epoch - round(epoch)) < 1e-6


def _name(args: Any) -> str:
    return f"dynamics-{args.process_index}.npz"
