from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from sums_plugin import Count, Doubling, Mishap, open_store, run

from proxysample import InputError
from proxysample.experiments.claims import Claims
from proxysample.experiments.runner import RunInterrupted, interruptible

from ...forked import Forked

COUNTS = [Count({"steps": 12, "name": name}) for name in range(3)]

RUNNER = """
import multiprocessing
from pathlib import Path
from proxysample.experiments import runner
from sums_plugin import Count, run

runner.SECONDS_BETWEEN_LOOKS = 0.1
if {forks}:
    # Workers that are forked begin at once.
    get_context = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: get_context("fork")
counts = [Count({{"steps": {steps}, "name": name}}) for name in range(3)]
raise SystemExit(run(Path({folder!r}), counts, **{options!r}))
"""


@pytest.fixture
def start(forked, folder):
    """Start a runner of counts."""

    def run(steps: int = 12, *, forks: bool = True, **options) -> Forked:
        given = {"steps": steps, "forks": forks, "folder": str(folder), "options": options}
        return forked(RUNNER.format(**given))

    return run


def wait_for(what, process: Forked) -> None:
    while not what():
        assert process.poll() is None, "it ended before it could be met"
        time.sleep(0.01)


def runners(folder) -> list[str]:
    if not (folder / "sums.sqlite").exists():
        return []
    return [one.id for one in Claims(open_store(folder).database).runners()]


def checkpoints(folder) -> list[object]:
    return list(folder.glob("unfinished/*.safetensors"))


def counted(folder) -> list[tuple[str, int, int]]:
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [(key, int(step), int(pid)) for key, step, pid in lines]


def check_whole(folder) -> None:
    """Check that everything was done, and that nobody is at it."""
    store = open_store(folder)
    assert [one.result for one in store.results("sum").values()] == [{"number": 30}]
    assert store.results("count").keys() == {one.key for one in COUNTS}
    assert not store.failures()
    claims = Claims(store.database)
    assert claims.runners() == claims.held() == []
    assert not checkpoints(folder)


def test_stages_run_one_after_another_and_nothing_twice(folder, monkeypatch):
    monkeypatch.setattr("sums_plugin.SECONDS_A_STEP", 0)
    assert run(folder, COUNTS) == 0
    check_whole(folder)
    states = open_store(folder).states()
    assert run(folder, COUNTS) == 0
    assert open_store(folder).states() == states
    assert len(counted(folder)) == 36


def test_what_an_experiment_is_called_cannot_act_on_a_terminal(folder, monkeypatch, at_a_terminal):
    monkeypatch.setattr(Doubling, "label", "doubled\x1b[31m\nby 2")
    assert run(folder, [], progress=True) == 0
    _, told = at_a_terminal.readouterr()
    assert "doubled\\x1b[31m\\nby 2" in told
    assert "\x1b[31m" not in told


def test_what_fails_is_counted_with_what_needs_it_and_tried_again_when_asked_for(
    folder, monkeypatch
):
    mishap = Mishap({"way": "raises", "until": 2})
    with monkeypatch.context() as patch:
        patch.setattr(Doubling, "run", lambda self, context: 1 // self.specification["index"])
        # Those that could be tried have no result, either; the sum could not be.
        assert run(folder, [mishap]) == 5
    assert len(open_store(folder).failures()) == 4
    assert run(folder, [mishap]) == 5
    assert run(folder, [mishap], retry_failed=True) == 0
    store = open_store(folder)
    assert store.results("mishap")[mishap.key].result == {"attempts": 2}
    assert len(store.results("sum")) == 1


def test_a_folder_whose_data_cannot_be_read_gets_no_store(folder):
    (folder / "numbers.json").unlink()
    with pytest.raises(InputError, match="no numbers"):
        run(folder)
    assert not list(folder.iterdir())


def test_two_runners_share_a_store_and_run_nothing_twice(folder, start):
    first = start()
    wait_for(lambda: checkpoints(folder), first)
    # The second has to find something left.
    first.send_signal(signal.SIGSTOP)
    second = start()
    wait_for(lambda: len(runners(folder)) == 2, second)
    first.send_signal(signal.SIGCONT)
    assert [process.wait(timeout=300) for process in (first, second)] == [0, 0]
    check_whole(folder)
    steps = counted(folder)
    assert len(steps) == 36
    assert {pid for *_, pid in steps} == {first.pid, second.pid}
    assert len({(key, pid) for key, _, pid in steps}) == 3


def test_what_a_killed_runner_was_at_is_taken_over_by_one_that_waits(folder, start):
    killed = start()
    wait_for(lambda: checkpoints(folder), killed)
    # A process that stands still lives, and keeps its claim.
    killed.send_signal(signal.SIGSTOP)
    (first,) = runners(folder)
    waiting = start()
    wait_for(lambda: len(runners(folder)) == 2, waiting)
    held_by_it = next(
        one.key for one in Claims(open_store(folder).database).held() if one.runner == first
    )
    wait_for(lambda: len(open_store(folder).results("count")) == 2, waiting)
    # Longer than between two of its looks.
    time.sleep(0.2)
    assert waiting.poll() is None
    killed.kill()
    killed.wait()
    assert waiting.wait(timeout=300) == 0
    check_whole(folder)
    steps = [step for key, step, _ in counted(folder) if key == held_by_it]
    # It went on from the last step that was kept, and not from the first.
    assert steps.count(1) == 1
    assert len(steps) <= 13


def test_what_a_runner_has_left_of_an_ended_experiment_is_removed(folder):
    """It was killed after it had kept the result, and before it had removed the checkpoint."""
    assert run(folder, [Count({"steps": 1})]) == 0
    unfinished = folder / "unfinished"
    ended = Count({"steps": 1}).key
    (unfinished / f"{ended}-b0.safetensors.part").mkdir(parents=True)
    for name in (f"{ended}-b0.safetensors", "1f-b0.safetensors"):
        (unfinished / name).write_bytes(b"")
    assert run(folder) == 0
    # Nothing is known of other experiments'.
    assert [path.name for path in unfinished.iterdir()] == ["1f-b0.safetensors"]


@pytest.mark.parametrize(("number", "n_workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_ends_a_run_in_order(folder, start, number, n_workers):
    process = start(n_workers=n_workers)
    wait_for(lambda: checkpoints(folder), process)
    process.send_signal(number)
    assert process.wait(timeout=30) != 0
    store = open_store(folder)
    claims = Claims(store.database)
    assert claims.runners() == claims.held() == store.failures() == []
    assert checkpoints(folder)
    n_steps = len(counted(folder))
    time.sleep(0.3)
    assert len(counted(folder)) == n_steps


def test_workers_end_with_a_runner_that_is_killed(folder, start):
    process = start(10_000, forks=False, executor="processes")
    wait_for(lambda: checkpoints(folder), process)
    process.kill()
    process.wait()
    time.sleep(1)
    n_steps = len(counted(folder))
    time.sleep(0.2)
    assert len(counted(folder)) == n_steps


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_once_and_handlers_are_restored(number, exit_code):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    cleaned_up = []

    @interruptible()
    def run() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)
            cleaned_up.append(True)

    with pytest.raises(RunInterrupted) as end:
        run()
    assert cleaned_up
    assert end.value.exit_code == exit_code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_library_that_raises_its_own_interruption_does_not_hide_the_signal():
    @interruptible()
    def run() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(RunInterrupted, match="SIGTERM"):
        run()


def test_an_interruption_without_a_signal_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt) as end, interruptible():
        raise KeyboardInterrupt
    assert not isinstance(end.value, RunInterrupted)


def test_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
