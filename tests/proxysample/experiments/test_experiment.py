from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from sums_plugin import Count, Doubling, Mishap, SumsContext

from proxysample.experiments.experiment import Checkpoints, attempt, experiment_key

KEY = experiment_key("count", {"steps": 3})


def test_an_experiment_is_named_once_and_for_ever():
    experiment = Count({"steps": 3})
    assert experiment.key == KEY
    assert experiment.key is experiment.key
    with pytest.raises(FrozenInstanceError):
        experiment.specification = {}


def test_an_error_becomes_the_outcome(folder):
    context = SumsContext(folder / "numbers.json")
    outcome = attempt(Mishap({"way": "raises", "until": 9}), context)
    assert outcome.result is None
    assert outcome.error == "ArithmeticError: nothing can be said"
    assert "sums_plugin.py" in outcome.traceback


def test_a_result_that_cannot_be_kept_is_an_error_of_its_experiment(folder):
    context = SumsContext(folder / "numbers.json")
    outcome = attempt(Mishap({"way": "keeps nothing", "until": 9}), context)
    assert outcome.result is None
    assert "JSON" in outcome.error


def test_an_experiment_without_a_result_has_failed(folder, monkeypatch):
    from proxysample.experiments.experiment import Outcome

    monkeypatch.setattr(Doubling, "run", lambda *_: Outcome({}))
    outcome = attempt(Doubling({"index": 0}), SumsContext(folder / "numbers.json"))
    assert "has to give a result" in outcome.error


def test_a_context_of_a_worker_has_read_nothing(folder):
    context = SumsContext(folder / "numbers.json", Checkpoints(folder, "a"), progress=True)
    context.info()
    other = context.for_worker(3)
    assert (other.numbers, other.progress, other.n_side_by_side) == (None, False, 3)
    assert other.checkpoint(KEY) == context.checkpoint(KEY)
    other.unship(context.ship())
    assert other.info() == [3, 5, 7]


def test_what_is_not_shipped_is_read_by_each(folder):
    from proxysample.experiments.experiment import Context

    context = SumsContext(folder / "numbers.json")
    assert Context.ship(context) is None
    Context.unship(context, None)
    assert context.info() == [3, 5, 7]


def test_importing_experiments_loads_no_torch():
    code = (
        "import sys, proxysample.experiments, proxysample.experiments.runner\n"
        "import proxysample.experiments.processes, proxysample.experiments.ray\n"
        "assert not {'torch', 'ray', 'proxysample_nas', 'sklearn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_checkpoints_are_taken_over_and_never_shared(tmp_path):
    first, second = (Checkpoints(tmp_path, runner) for runner in "ab")
    assert first.path(KEY) != second.path(KEY)
    second.take_over(KEY)  # there is nothing
    first.path(KEY).parent.mkdir()
    first.path(KEY).write_text("ten epochs")
    second.take_over(KEY)
    assert second.path(KEY).read_text() == "ten epochs"
    first.path(KEY).write_text("a runner that was thought to be gone")
    second.remove(KEY)
    assert not list(tmp_path.glob("unfinished/*"))
