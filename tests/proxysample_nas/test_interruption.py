from __future__ import annotations

import os
import signal
import threading

import pytest

from proxysample.experiments.runner import RunInterrupted, interruptible


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
