"""What a study's callback is told after every epoch, and that the usual loggers take it."""

from __future__ import annotations

from functools import cache

import pytest

from proxysample import InputError
from proxysample_nas.searchers import create_searcher
from proxysample_nas.study import Study, StudyConfiguration
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.search import _tells
from proxysample_nas.training.optimization import check_callback

CELL = "|nor_conv_3x3~0|"
EPOCHS = [
    ("DARTS-V1, full data, seed 0", {"epoch": 0, "train_loss": 2.5}),
    ("DARTS-V1, full data, seed 0", {"epoch": 1, "train_loss": 2.0}),
    (f"evaluated a cell, C=4, seed 777, {CELL}", {"epoch": 0, "train_loss": 2.25}),
]


class Silent:
    def search(self, train, validation=None, *, checkpoint=None):
        raise NotImplementedError


@pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")
def test_a_study_tells_of_every_epoch_with_the_name_of_what_is_trained(tiny_settings, tmp_path):
    searchers = ["darts-v1:n_nodes=2,channels=2,cells_per_stage=1,epochs=2"]
    settings = tiny_settings(searchers=searchers, n_train=60, architecture_data="test-half")
    study = Study(**settings, folder=tmp_path)
    told = []

    def callback(name, numbers):
        assert {"epoch", "train_loss", "train_accuracy"} <= numbers.keys()
        told.append((name, numbers["epoch"]))

    assert study.run(progress=False, callback=callback) == 0
    searched = ["darts-v1 on full data, seed 0", "darts-v1 on RS r=0.5, seed 0"]
    trained = [f"evaluated a cell, C=4, seed 777, {cell}" for cell in study.to_frame()["cell"]]
    expected = [(name, epoch) for name in searched for epoch in (0, 1)]
    assert told == expected + [(name, 0) for name in dict.fromkeys(trained)]
    # All has finished: nothing is left to tell of.
    assert study.run(progress=False, callback=pytest.fail) == 0


def test_a_worker_gets_it_too_and_what_cannot_be_called_is_refused(tiny_settings):
    configuration = StudyConfiguration.build(**tiny_settings())
    assert StudyContext(configuration, callback=print).for_worker(2).callback is print
    assert StudyContext(configuration).epoch_callback("a search") is None
    with pytest.raises(InputError, match="callback must take what is trained and a mapping"):
        StudyContext(configuration, callback="log")
    with pytest.raises(InputError, match=r"called as callback\(name, numbers\), which its param"):
        StudyContext(configuration, callback=[].append)
    with pytest.raises(InputError, match=r"called as callback\(numbers\), which its parameters"):
        check_callback(lambda name, numbers: None)


def test_a_searcher_that_knows_of_no_callback_searches_without():
    assert not _tells(Silent())
    assert _tells(create_searcher("gdas"))


def test_tensorboard_takes_it(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path)
    for name, told in EPOCHS:
        for key, value in told.items():
            writer.add_scalar(f"{name}/{key}", value, told["epoch"])
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {tag: [one.value for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert len(found) == 4
    assert [2.5, 2.0] in found.values()


def test_mlflow_takes_it(mlflow):
    client = mlflow.MlflowClient()
    run_of = cache(lambda name: client.create_run("0", run_name=name).info.run_id)
    for name, told in EPOCHS:
        mlflow.log_metrics(told, step=int(told["epoch"]), run_id=run_of(name))
    found = {run.info.run_name: run.data.metrics for run in client.search_runs(["0"])}
    assert found == dict(EPOCHS)  # the last epoch of each
