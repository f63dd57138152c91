"""Evaluating a cell: the recipe, step by step, and the accuracy that comes out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.data.images import load_images
from proxysample_nas.data.loader import Augmentation, Loader, shuffled
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import CellNetwork
from proxysample_nas.training import trainer
from proxysample_nas.training.evaluation import Evaluation, TrainingRun
from proxysample_nas.training.optimization import DivergenceError, cosine_learning_rate
from proxysample_nas.training.trainer import DEFAULT_RECIPE, CellTrainer

CELL = Cell.from_string("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|")


def small_trainer(**overrides: Any) -> CellTrainer:
    settings: dict[str, Any] = {
        "channels": 4,
        "cells_per_stage": 1,
        "epochs": 2,
        "batch_size": 128,
        "device": "cpu",
        "progress": False,
    }
    return CellTrainer(**(settings | overrides))


def test_the_learning_rate_is_half_a_cosine() -> None:
    rates = [cosine_learning_rate(epoch, 200, 0.1) for epoch in range(200)]
    assert rates[0] == 0.1
    assert rates[100] == pytest.approx(0.05)
    # The last epoch still learns: 0.1 * (1 - cos(pi / 200)) / 2.
    assert rates[199] == pytest.approx(0.1 * math.sin(math.pi / 400) ** 2)
    assert cosine_learning_rate(50, 50, 0.025, 0.001) == pytest.approx(0.001)


def test_what_a_process_first_imports_is_no_time_of_a_training(
    digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def imports() -> None:
        clock[0] += 1000

    monkeypatch.setattr(trainer, "import_what_optimizers_import", imports)
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    few = Subset(digits.train, range(20))
    assert small_trainer(epochs=1).train_once(CELL, few, few, seed=5).seconds == 0
    assert clock == [1000]


def test_training_equals_a_plain_loop(digits: Any) -> None:
    trainer = small_trainer(epochs=3, learning_rate=0.05, weight_decay=0.01)
    run = trainer.train_once(CELL, digits.train, digits.test, seed=5)

    train = load_images(digits.train, device="cpu")
    generator = torch.Generator().manual_seed(5)
    network = CellNetwork(CELL, 4, 1, 10, 1, generator)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    normalization = Normalization.of(train.images)
    loader = Loader(train, batch_size=128, normalization=normalization, augmentation=Augmentation())
    losses = []
    for _ in range(3):
        total = 0.0
        for images, labels in loader.batches(shuffled(len(train), generator), generator):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        schedule.step()
        losses.append(total / len(train))
    network.eval()
    pixels = torch.from_numpy(digits.test.images[..., 0])[:, None] / 255
    pixels = (pixels - normalization.mean[0]) / normalization.std[0]
    with torch.no_grad():
        predicted = network(pixels).argmax(dim=1).numpy()

    assert run.train_losses == pytest.approx(losses, rel=1e-5)
    assert run.accuracy == pytest.approx(100 * np.mean(predicted == digits.test.targets))
    assert run.n_parameters == sum(weight.numel() for weight in network.parameters())
    assert (run.n_train, run.n_test, run.device) == (1437, 360, "cpu")


def test_a_network_learns_the_digits(digits: Any) -> None:
    run = small_trainer(epochs=5, batch_size=64, channels=8).train_once(
        CELL, digits.train, digits.test, seed=777
    )
    assert run.accuracy > 80
    assert run.train_accuracy > 80
    assert run.train_losses[-1] < run.train_losses[0] / 2


def test_a_seed_repeats_itself_and_leaves_the_global_state_alone(digits: Any) -> None:
    trainer = small_trainer(epochs=1)
    before = torch.get_rng_state()
    runs = [trainer.train_once(CELL, digits.train, digits.test, seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert runs[0].train_losses == runs[1].train_losses
    assert runs[0].accuracy == runs[1].accuracy
    assert runs[0].train_losses != runs[2].train_losses


def test_evaluate_is_one_run_per_seed(digits: Any) -> None:
    trainer = small_trainer(epochs=1, seeds=[3, 4])
    train = Subset(digits.train, range(300))
    evaluation = trainer.evaluate(CELL, train, digits.test, split="digits test")
    alone = trainer.train_once(CELL, train, digits.test, 4)
    assert evaluation.seeds == (3, 4)
    assert evaluation.accuracies[1] == alone.accuracy
    assert evaluation.split == "digits test"
    assert evaluation.runs[0].n_train == 300


def test_seeds_may_be_numpys_and_are_told_as_pythons() -> None:
    seeds = small_trainer(seeds=np.arange(2)).seeds
    assert seeds == (0, 1)
    assert {type(seed) for seed in seeds} == {int}


def test_a_single_seed_is_checked_before_the_data_is_read() -> None:
    with pytest.raises(InputError, match=r"seed must be an integer from 0 .* not -1"):
        small_trainer().train_once(CELL, "no dataset", "no dataset", seed=-1)


def record(seed: int, accuracy: float, **changes: Any) -> TrainingRun:
    values: dict[str, Any] = {
        "cell": CELL,
        "seed": seed,
        "accuracy": accuracy,
        "split": "test",
        "train_losses": (1.5, 0.25),
        "train_accuracy": 90.0,
        "n_parameters": 12,
        "n_train": 100,
        "n_test": 50,
        "seconds": 0.5,
        "device": "cpu",
    }
    return TrainingRun(**(values | changes))


def test_an_epoch_of_so_many_updates_is_as_long_on_any_data(digits: Any) -> None:
    half = Subset(digits.train, range(600))
    trainer = small_trainer(steps_per_epoch=7, batch_size=100)
    assert trainer.samples_per_epoch(600) == 700
    run = trainer.train_once(CELL, half, digits.test, seed=5)

    train = load_images(half, device="cpu")
    generator = torch.Generator().manual_seed(5)
    network = CellNetwork(CELL, 4, 1, 10, 1, generator)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    loader = Loader(
        train,
        batch_size=100,
        normalization=Normalization.of(train.images),
        augmentation=Augmentation(),
    )
    for epoch in range(2):
        optimizer.param_groups[0]["lr"] = cosine_learning_rate(epoch, 2, 0.1)
        losses = []
        # A pass of six batches, and the first of another.
        for images, labels in loader.batches(shuffled(600, generator, 700), generator):
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert len(losses) == 7
        assert run.train_losses[epoch] == pytest.approx(sum(losses) / 7, rel=1e-6)


def test_what_names_a_training_leaves_out_what_was_added_later() -> None:
    assert "steps_per_epoch" not in CellTrainer().parameters()
    assert CellTrainer(steps_per_epoch=3).parameters()["steps_per_epoch"] == 3
    assert CellTrainer().parameters().keys() == asdict(CellTrainer()).keys() - {
        "steps_per_epoch", "device", "progress", "seeds",
    }  # fmt: skip


def test_the_default_of_every_route_is_one_recipe() -> None:
    assert CellTrainer.from_recipe(DEFAULT_RECIPE) == CellTrainer()


def test_the_summary_of_three_seeds_by_hand() -> None:
    evaluation = Evaluation([record(1, 70.0), record(2, 73.0), record(3, 76.0)])
    assert evaluation.mean == 73.0
    # The mean of the squares 9, 0, 9 with the divisor n - 1 = 2 is 9.
    assert evaluation.std == 3.0
    assert evaluation.seconds == 1.5
    assert math.isnan(Evaluation([record(1, 70.0)]).std)


def test_an_evaluation_survives_json() -> None:
    evaluation = Evaluation([record(1, 70.0), record(2, 100 / 3)])
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation


def test_an_evaluation_is_of_one_cell_on_one_split() -> None:
    with pytest.raises(InputError, match="of 2 kinds"):
        Evaluation([record(1, 70.0), record(2, 70.0, split="validation")])
    with pytest.raises(InputError, match="0 runs"):
        Evaluation([])


def test_a_diverging_loss_names_epoch_and_learning_rate(digits: Any) -> None:
    trainer = small_trainer(learning_rate=1e25, momentum=0.0, nesterov=False)
    with pytest.raises(DivergenceError, match=r"in epoch 1 at learning rate 1e\+25"):
        trainer.train_once(CELL, digits.train, digits.test, seed=1)


def test_recipes_are_the_published_settings() -> None:
    paper = CellTrainer.from_recipe("paper", channels=64)
    assert (paper.learning_rate, paper.epochs, paper.batch_size) == (0.01, 200, 256)
    assert (paper.momentum, paper.weight_decay, paper.nesterov) == (0.9, 5e-4, True)
    assert (paper.channels, paper.cells_per_stage, paper.seeds) == (64, 5, (777, 888, 999))
    assert CellTrainer.from_recipe("nas-bench-201").learning_rate == 0.1
    imagenet = CellTrainer.from_recipe("paper-imagenet16-120")
    assert (imagenet.epochs, imagenet.learning_rate, imagenet.weight_decay) == (400, 0.1, 1e-3)
    with pytest.raises(InputError, match="did you mean 'nas-bench-201'"):
        CellTrainer.from_recipe("nasbench201")
    with pytest.raises(InputError, match="parameter of CellTrainer 'seed'; did you mean 'seeds'"):
        CellTrainer.from_recipe("paper", seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"channels": 1.5}, "channels must be a positive integer"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"weight_decay": -1}, "weight_decay must be a finite number"),
        ({"momentum": 0.0}, "nesterov=True needs a momentum"),
        ({"nesterov": "False"}, "nesterov must be True or False, not 'False'"),
        ({"progress": "no"}, "progress must be True or False, not 'no'"),
        ({"seeds": ()}, "seeds needs at least one integer"),
        ({"seeds": (1.5,)}, r"seeds must be an integer from 0 .* not 1\.5"),
        ({"seeds": (True,)}, "seeds must be an integer from 0 .* not True"),
        ({"seeds": (3, -1)}, "seeds must be an integer from 0 .* not -1"),
        ({"seeds": (1 << 63,)}, r"seeds must be .* below 2\*\*63"),
        ({"seeds": (1, 2, 1)}, "seeds has 1 twice"),
        ({"seeds": 1}, r"seeds must be a list, such as seeds=\[1\]"),
        ({"seeds": "777"}, "seeds must be a list"),
    ],
)
def test_bad_settings_fail_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_trainer(**changes)


def test_test_data_fits_the_training_data(digits: Any) -> None:
    trainer = small_trainer()
    labels = np.asarray(digits.train.targets)
    without_nine = Subset(digits.train, np.flatnonzero(labels != 9).tolist())
    with pytest.raises(InputError, match="label 9 of sample"):
        trainer.train_once(CELL, without_nine, digits.test, seed=1)
    other_size = load_images(np.zeros((2, 16, 16), dtype=np.uint8), y=[0, 1], device="cpu")
    with pytest.raises(InputError, match=r"differ in shape .* \(1, 8, 8\) and \(1, 16, 16\)"):
        trainer.train_once(CELL, digits.train, other_size, seed=1)


def test_numbers_of_numpy_count_as_pythons() -> None:
    trainer = CellTrainer(
        epochs=np.int64(3),
        learning_rate=np.float32(0.5),
        seeds=np.array([1, 2]),
        augmentation=Augmentation(crop_padding=np.int16(2)),
    )
    plain = CellTrainer(
        epochs=3, learning_rate=0.5, seeds=(1, 2), augmentation=Augmentation(crop_padding=2)
    )
    assert json.dumps(asdict(trainer)) == json.dumps(asdict(plain))
