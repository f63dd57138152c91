"""Ctrl-C and SIGTERM end a study in order: workers end, claims are given up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StudyInterrupted(KeyboardInterrupt):
    """A study was told to end; what had finished is kept.

    Parameters
    ----------
    signal_number : int
        What told it.

    Examples
    --------
    >>> StudyInterrupted(signal.SIGTERM).exit_code
    143
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `StudyInterrupted` on the first Ctrl-C or SIGTERM, and ignore those that follow.

    Ending in order takes seconds, and a second signal in the middle would spoil it. SIGKILL
    ends a study at once, and does its store no harm either. Outside the main thread, where
    Python knows no signals, nothing changes.

    Raises
    ------
    StudyInterrupted
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append(number)
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise StudyInterrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, end)
        yield
    except KeyboardInterrupt as interruption:
        # Ray raises one of its own in place of what it was interrupted by.
        if received and not isinstance(interruption, StudyInterrupted):
            raise StudyInterrupted(received[0]) from interruption
        raise
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
