"""Recording in Keras, at the end of each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from proxysample.dynamics.frameworks import check_recorder
from proxysample.errors import InputError

if TYPE_CHECKING:
    from proxysample.dynamics.recorder import DynamicsRecorder


def record_epoch_end(
    recorder: DynamicsRecorder, model: Any, x: Any, y: Any, **options: Any
) -> Callable[..., None]:
    """Make the function that Keras's ``LambdaCallback`` calls when an epoch ends.

    The model predicts all samples then, which costs a pass over them. Keras's models mostly end in
    a softmax: the recorder is then made with ``kind="probabilities"``.

    Parameters
    ----------
    recorder : DynamicsRecorder
        With ``protocol="eval"``.
    model : keras.Model
    x : array-like
        All samples, in the order of the dataset, as ``model.predict`` takes them.
    y : array-like of shape (n,) or (n, 1)
        Class codes.
    **options
        Of ``model.predict``, such as ``batch_size``.

    Returns
    -------
    callable
        Takes an epoch's number and its logs, as ``on_epoch_end``.

    Examples
    --------
    >>> from proxysample import DynamicsRecorder
    >>> class Model:
    ...     def predict(self, x, verbose):
    ...         return np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> recorder = DynamicsRecorder(2, 2, kind="probabilities", protocol="eval")
    >>> on_epoch_end = record_epoch_end(recorder, Model(), x=[[0.0], [1.0]], y=[0, 1])
    >>> on_epoch_end(0, {"loss": 0.3})
    >>> recorder.scores("confidence").round(2).tolist()
    [0.9, 0.8]
    """
    check_recorder(recorder, "eval")
    if not callable(getattr(model, "predict", None)):
        raise InputError(f"model has no predict: it is a {type(model).__name__}")
    labels = np.asarray(y)
    if labels.shape not in ((recorder.n_samples,), (recorder.n_samples, 1)):
        raise InputError(
            f"y has shape {labels.shape}; needed: ({recorder.n_samples},), a class code of each "
            "sample that the recorder is for (of one-hot labels y.argmax(axis=1))"
        )
    given = {"verbose": 0, **options}

    def on_epoch_end(epoch: int, logs: Any = None) -> None:  # noqa: ARG001
        outputs = model.predict(x, **given)
        if len(outputs) != recorder.n_samples:
            raise InputError(
                f"the model predicted {len(outputs)} samples, and the recorder is for "
                f"{recorder.n_samples}: x are all samples, in the dataset's order"
            )
        recorder.record(np.arange(recorder.n_samples), np.asarray(outputs), labels)
        recorder.end_epoch()

    return on_epoch_end
