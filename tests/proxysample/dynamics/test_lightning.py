"""Recording in Lightning's Trainer, of both packages: the real one where it is installed."""

from __future__ import annotations

import importlib
import pickle
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from proxysample import InputError
from proxysample.dynamics import DynamicsRecorder, RecorderCallback, with_indices
from proxysample.errors import ProxysampleWarning

pytestmark = [
    # Not by an import, which takes seconds in each process that collects tests.
    pytest.mark.skipif(
        find_spec("lightning") is None, reason="lightning is not installed (extra dev)"
    ),
    # Of Lightning itself: few workers, no logger, a small log interval.
    pytest.mark.filterwarnings("ignore::Warning:(lightning|pytorch_lightning|torch).*"),
]

N, C = 22, 3
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def data():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(N, 4, generator=generator), torch.randint(C, (N,), generator=generator)
    )


def module_of(pl, returned=("logits", "index", "labels")):
    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, C)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def training_step(self, batch, batch_idx):
            indices, (images, labels) = batch
            logits = self.head(images)
            found = {"logits": logits, "index": indices, "labels": labels}
            loss = nn.functional.cross_entropy(logits, labels)
            return {"loss": loss} | {name: found[name] for name in returned}

        def validation_step(self, batch, batch_idx):
            pass

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.5)

    return Module()


def loader(shuffle=False):
    return DataLoader(with_indices(data()), batch_size=8, shuffle=shuffle)


def by_hand(epochs):
    """The same training in a loop of one's own."""
    recorder, head = DynamicsRecorder(N, C), nn.Linear(4, C)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(head.parameters(), 0.5)
    for _ in range(epochs):
        for indices, (images, labels) in loader():
            logits = head(images)
            recorder.record(indices, logits, labels)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
        recorder.end_epoch()
    return recorder


def trainer_of(pl, folder, callbacks, **options):
    options = {"enable_checkpointing": False, "max_epochs": 2} | QUIET | options
    return pl.Trainer(default_root_dir=folder, callbacks=callbacks, **options)


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_a_training_is_recorded(package, tmp_path):
    pl = pytest.importorskip(package)
    callback = RecorderCallback(DynamicsRecorder(N, C))
    assert isinstance(callback, pl.Callback)
    assert isinstance(callback, RecorderCallback)
    trainer_of(pl, tmp_path, [callback]).fit(module_of(pl), loader(shuffle=False))
    found, expected = callback.recorder, by_hand(2)
    assert found.n_epochs == 2
    np.testing.assert_allclose(found.scores("aum"), expected.scores("aum"), atol=1e-6)


@pytest.mark.parametrize("at", ["end of an epoch", "validation"])
def test_a_checkpoint_resumes(at, tmp_path):
    pl = importlib.import_module("lightning.pytorch")
    keep = pl.callbacks.ModelCheckpoint(
        tmp_path, save_top_k=-1, filename="{epoch}", save_on_train_epoch_end=at != "validation"
    )
    validation = {"val_dataloaders": loader()} if at == "validation" else {}
    options = {"enable_checkpointing": True, "num_sanity_val_steps": 0}
    first = RecorderCallback(DynamicsRecorder(N, C))
    trainer_of(pl, tmp_path, [first, keep], max_epochs=2, **options).fit(
        module_of(pl), loader(), **validation
    )
    for epoch in (0, 1):
        again = RecorderCallback(DynamicsRecorder(N, C))
        trainer_of(pl, tmp_path / "b", [again], max_epochs=3, num_sanity_val_steps=0).fit(
            module_of(pl), loader(), ckpt_path=tmp_path / f"epoch={epoch}.ckpt", **validation
        )
        assert again.recorder.n_epochs == 3
        expected = by_hand(3).scores("aum")
        np.testing.assert_allclose(again.recorder.scores("aum"), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_an_epoch_that_is_cut_short_is_left_out(tmp_path):
    pl = importlib.import_module("lightning.pytorch")
    callback = RecorderCallback(DynamicsRecorder(N, C))
    trainer = trainer_of(pl, tmp_path, [callback], max_epochs=-1, max_steps=4)
    with pytest.warns(ProxysampleWarning, match="within epoch 1"):
        trainer.fit(module_of(pl), loader())
    assert callback.recorder.n_epochs == 1
    callback.recorder.scores("aum")


def test_what_is_missing_is_named(tmp_path):
    pl = importlib.import_module("lightning.pytorch")
    callback = RecorderCallback(DynamicsRecorder(N, C))
    with pytest.raises(InputError, match=r"no 'index' .*training_step returned: 'loss', 'logits'"):
        trainer_of(pl, tmp_path, [callback]).fit(module_of(pl, ["logits"]), loader())
    with pytest.raises(InputError, match="recorder must be a DynamicsRecorder"):
        RecorderCallback(3)
    with pytest.raises(InputError, match="logits must be a key"):
        RecorderCallback(DynamicsRecorder(N, C), logits=1)


def test_parts_of_a_batch_serve_and_a_copy_in_another_process_is_one():
    callback = RecorderCallback(DynamicsRecorder(2, 2), labels="y")
    trainer = SimpleNamespace(current_epoch=0, is_last_batch=True)
    batch = {"index": torch.tensor([1, 0]), "y": torch.tensor([0, 1])}
    outputs = {"loss": 0, "logits": torch.tensor([[2.0, 0.0], [0.0, 3.0]])}
    callback.on_train_batch_end(trainer, None, outputs, batch, 0)
    callback = pickle.loads(pickle.dumps(callback))
    callback.on_train_epoch_end(trainer, None)
    assert callback.recorder.scores("aum").tolist() == [3.0, 2.0]
    other = RecorderCallback(DynamicsRecorder(2, 2))
    state = callback.state_dict()
    other.load_state_dict(state)
    assert other.recorder.scores("aum").tolist() == [3.0, 2.0]
    with pytest.raises(InputError, match="the records of 2 ranks, and there are 1"):
        other.load_state_dict({"ranks": state["ranks"] * 2})
    for damaged in ({}, {"ranks": 3}, {"ranks": [{}]}, {"ranks": [{"epoch": 0, "whole": True}]}):
        with pytest.raises(InputError, match="damaged"):
            other.load_state_dict(damaged)
