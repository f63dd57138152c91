"""Recording in Keras: a double with the calls of its models, and the package where it is."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import InputError
from proxysample.dynamics import DynamicsRecorder
from proxysample.dynamics.keras import record_epoch_end

N, C = 5, 3


class Model:
    def __init__(self, n=N):
        self.epoch, self.n, self.options = 0, n, None

    def predict(self, x, batch_size=None, verbose="auto", steps=None):
        assert len(x) == N
        self.options = batch_size, verbose
        logits = np.random.default_rng(self.epoch).standard_normal((self.n, C))
        return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)

    def fit(self, epochs, on_epoch_end):
        for self.epoch in range(epochs):
            on_epoch_end(self.epoch, {"loss": 1.0})


def recorder_of(**settings):
    return DynamicsRecorder(N, C, **{"kind": "probabilities", "protocol": "eval"} | settings)


@pytest.mark.parametrize("y", [np.arange(N) % C, (np.arange(N) % C)[:, None]])
def test_each_epoch_is_predicted_and_recorded(y):
    recorder, model = recorder_of(), Model()
    model.fit(3, record_epoch_end(recorder, model, np.zeros((N, 2)), y, batch_size=2))
    assert recorder.n_epochs == 3
    assert model.options == (2, 0)
    expected = recorder_of()
    for model.epoch in range(3):
        expected.record(np.arange(N), model.predict(np.zeros((N, 2))), np.arange(N) % C)
        expected.end_epoch()
    np.testing.assert_array_equal(recorder.scores("aum-p"), expected.scores("aum-p"))


def test_what_does_not_fit_is_refused():
    x, y = np.zeros((N, 2)), np.arange(N) % C
    with pytest.raises(InputError, match="protocol='eval'"):
        record_epoch_end(recorder_of(protocol="train"), Model(), x, y)
    with pytest.raises(InputError, match="argmax"):
        record_epoch_end(recorder_of(), Model(), x, np.eye(C)[y])
    with pytest.raises(InputError, match="no predict"):
        record_epoch_end(recorder_of(), object(), x, y)
    with pytest.raises(InputError, match="predicted 4 samples"):
        record_epoch_end(recorder_of(), Model(4), x, y)(0, None)
    logits = recorder_of(kind="logits")
    with pytest.raises(InputError, match="kind='probabilities'"):
        record_epoch_end(logits, Model(), x, y)(0, None)


# Of Keras beside newer numpy.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_of_the_package_is_recorded_as_it_trains(monkeypatch):
    """By a pass at the end of each epoch, which sees the weights that the epoch ended with."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="keras is not installed (pip install keras)")
    random = np.random.default_rng(0)
    y = np.arange(30) % C
    x = (np.eye(C)[y] + 0.1 * random.standard_normal((30, C))).astype(np.float32)
    layer = keras.layers.Dense(C, activation="softmax", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((C,)), layer])
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    recorder = DynamicsRecorder(30, C, kind="probabilities", protocol="eval")
    ended = []
    hooks = [
        keras.callbacks.LambdaCallback(on_epoch_end=record_epoch_end(recorder, model, x, y)),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: ended.append(model.predict(x, verbose=0))
        ),
    ]
    model.fit(x, y, epochs=3, batch_size=10, verbose=0, callbacks=hooks)
    expected = DynamicsRecorder(30, C, kind="probabilities", protocol="eval")
    for outputs in ended:
        expected.record(np.arange(30), np.asarray(outputs), y)
        expected.end_epoch()
    assert recorder.n_epochs == 3
    np.testing.assert_array_equal(recorder.scores("aum-p"), expected.scores("aum-p"))
    assert recorder.scores("learning-speed").mean() > 0.5
