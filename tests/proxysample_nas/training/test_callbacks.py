"""What a callback is told after every epoch, and that the usual loggers take it."""

from __future__ import annotations

import pytest

from proxysample import InputError
from proxysample_nas.searchers import create_searcher
from proxysample_nas.space.cell import Cell
from proxysample_nas.training.trainer import CellTrainer

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

SMALL = {"channels": 2, "cells_per_stage": 1, "epochs": 2, "progress": False}


def searched(proxy, callback, **changed):
    searcher = create_searcher("darts-v1", n_nodes=2, random_state=0, **SMALL)
    return searcher.search(proxy, callback=callback, **changed)


def test_a_search_tells_every_epoch_once(proxy, tmp_path):
    told = []
    result = searched(proxy, told.append, checkpoint=tmp_path / "search.safetensors")
    assert told == [record.numbers() for record in result.history]
    assert [one["epoch"] for one in told] == [0, 1]
    assert {"train_loss", "architecture_accuracy", "n_skip_connections"} <= told[0].keys()
    assert {type(value) for one in told for value in one.values()} <= {float, int}
    # All epochs are kept: none is left to tell of.
    searched(proxy, pytest.fail, checkpoint=tmp_path / "search.safetensors")


def test_a_training_tells_every_epoch_of_every_seed(proxy):
    told = []
    trainer = CellTrainer(seeds=(7, 8), **SMALL)
    cell = Cell.filled("nor_conv_1x1", n_nodes=2)
    evaluation = trainer.evaluate(cell, proxy, proxy, callback=told.append)
    assert [(one["seed"], one["epoch"]) for one in told] == [(7, 0), (7, 1), (8, 0), (8, 1)]
    losses = [loss for run in evaluation.runs for loss in run.train_losses]
    assert [one["train_loss"] for one in told] == losses
    assert told[-1]["train_accuracy"] == evaluation.runs[-1].train_accuracy


def test_what_cannot_be_called_is_refused(proxy):
    with pytest.raises(InputError, match="callback must take a mapping of numbers, and 'log'"):
        searched(proxy, "log")
    with pytest.raises(InputError, match="callback must take"):
        CellTrainer(**SMALL).train_once(
            Cell.filled("none", n_nodes=2), proxy, proxy, 0, callback="log"
        )


def test_tensorboard_takes_it(proxy, tmp_path):
    reason = "tensorboard is not installed"
    pytest.importorskip("tensorboard", reason=reason)
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path)
    searched(proxy, lambda told: [writer.add_scalar(*one, told["epoch"]) for one in told.items()])
    writer.close()
    assert list(tmp_path.iterdir())


def test_mlflow_takes_it(proxy, mlflow):
    mlflow.start_run()
    searched(proxy, lambda told: mlflow.log_metrics(told, step=int(told["epoch"])))
    mlflow.end_run()
    found = mlflow.last_active_run().data.metrics
    assert found["epoch"] == 1
