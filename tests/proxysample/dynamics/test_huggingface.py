"""Recording in the Trainer of transformers, the real one on a tiny model, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import InputError
from proxysample.dynamics import DynamicsRecorder, EvaluationRecorder, RecordingTrainerMixin
from proxysample.errors import ProxysampleWarning

# Imported by tests alone: to import it takes seconds.
for package in ("transformers", "accelerate"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra dev)", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore::Warning:(transformers|accelerate|torch).*")

N, C = 22, 3


class Tiny(nn.Module):
    """Logits are those of the sample itself, so that the order of training changes nothing."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.modes = []

    def forward(self, x, labels=None):
        self.modes.append(self.training)
        logits = x * self.scale
        found = {"logits": logits}
        if labels is not None:
            found["loss"] = nn.functional.cross_entropy(logits, labels)
        return found


def samples(with_index=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, C, generator=generator)
    labels = torch.randint(C, (N,), generator=generator)
    found = [{"x": x[i], "labels": labels[i]} for i in range(N)]
    return [one | {"index": i} for i, one in enumerate(found)] if with_index else found


def expected(epochs):
    recorder = DynamicsRecorder(N, C)
    for _ in range(epochs):
        x = torch.stack([one["x"] for one in samples()])
        recorder.record(np.arange(N), x, torch.stack([one["labels"] for one in samples()]))
        recorder.end_epoch()
    return recorder.scores("aum")


def arguments(folder, **options):
    from transformers import TrainingArguments

    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 0.0,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "remove_unused_columns": False,
        "logging_strategy": "no",
    }
    return TrainingArguments(**settings | options)


def trainer_of(folder, recorder, dataset=None, **options):
    from transformers import Trainer

    class RecordingTrainer(RecordingTrainerMixin, Trainer):
        pass

    return RecordingTrainer(
        model=Tiny(),
        args=arguments(folder, **options),
        train_dataset=samples() if dataset is None else dataset,
        eval_dataset=samples(),
        recorder=recorder,
    )


def test_a_training_is_recorded_and_evaluations_are_not(tmp_path):
    recorder = DynamicsRecorder(N, C)
    trainer = trainer_of(tmp_path, recorder, eval_strategy="epoch", label_names=["labels"])
    trainer.train()
    assert recorder.n_epochs == 2
    np.testing.assert_allclose(recorder.scores("aum"), expected(2), rtol=1e-6)
    assert set(trainer.model.modes) == {True, False}


@pytest.mark.parametrize("steps", [6, 9])
def test_a_checkpoint_resumes_at_the_end_of_an_epoch_and_in_the_middle(steps, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": steps, "num_train_epochs": 3}
    trainer_of(tmp_path, DynamicsRecorder(N, C), **saving).train()
    recorder = DynamicsRecorder(N, C)
    again = trainer_of(tmp_path, recorder, num_train_epochs=3)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{steps}"))
    assert recorder.n_epochs == 3
    assert recorder.repeats == [0, 0, 0]
    np.testing.assert_allclose(recorder.scores("aum"), expected(3), rtol=1e-6)


def test_an_epoch_that_is_cut_short_is_left_out(tmp_path):
    recorder = DynamicsRecorder(N, C)
    trainer = trainer_of(tmp_path, recorder, max_steps=8)
    with pytest.warns(ProxysampleWarning, match="within epoch 1"):
        trainer.train()
    assert recorder.n_epochs == 1


def test_columns_that_are_dropped_or_missing_are_named(tmp_path):
    with pytest.raises(InputError, match="remove_unused_columns=False"):
        trainer_of(tmp_path, DynamicsRecorder(N, C), remove_unused_columns=True)
    trainer = trainer_of(tmp_path, DynamicsRecorder(N, C), samples(with_index=False))
    with pytest.raises(InputError, match=r"no 'index' .*the batch has: 'x', 'labels'.*add_column"):
        trainer.train()
    with pytest.raises(InputError, match="protocol='train'"):
        trainer_of(tmp_path, DynamicsRecorder(N, C, protocol="eval"))


def test_a_pass_at_the_end_of_each_epoch_is_recorded(tmp_path):
    from transformers import Trainer, TrainerCallback

    recorder = DynamicsRecorder(N, C, protocol="eval")
    callback = EvaluationRecorder(recorder, samples())
    assert isinstance(callback, TrainerCallback)
    model = Tiny()
    Trainer(
        model=model,
        args=arguments(tmp_path),
        train_dataset=samples(with_index=False),
        callbacks=[callback],
    ).train()
    assert recorder.n_epochs == 2
    np.testing.assert_allclose(recorder.scores("aum"), expected(2), rtol=1e-6)
    assert model.modes[-1] is False
    assert model.training
    with pytest.raises(InputError, match="protocol='eval'"):
        EvaluationRecorder(DynamicsRecorder(N, C), samples())
    with pytest.raises(InputError, match="the dataset has 21"):
        EvaluationRecorder(recorder, samples()[:-1])
