"""Processes of a test's own that begin with everything imported.

Python's start and the imports take seconds; a copy of a process that has them behind it takes
none. For tests of what a process does or what becomes of it, not of how it begins.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

# With what is otherwise imported by the first samplers, searches and trainings of each process.
IMPORTED = ["torch._dynamo", "sklearn.datasets", "sklearn.model_selection", "scipy.optimize"]
IMPORTED += ["safetensors.torch", "proxysample", "proxysample_nas.searchers.darts"]
IMPORTED += ["proxysample_nas.study"]

# Begins as `python -c CODE WORDS` does, its output in two files.
PROGRAM = """
import gc, os, sys
# What was imported stays, and is not looked through.
gc.freeze()
os.environ.clear()
os.environ.update(environment)
for number, path in ((1, out), (2, err)):
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, number)
    os.close(file)
sys.argv[:] = ["-c", *words]
exec(compile(code, "<forked>", "exec"), {"__name__": "__main__"})
"""


def forkserver() -> ForkServerContext:
    """Makes processes that have imported everything; there is one for all tests of a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


class Forked:
    """A process as `subprocess.Popen` has it."""

    def __init__(self, code: str, words: Sequence[str], folder: Path) -> None:
        self._out, self._err = folder / "out", folder / "err"
        given: dict[str, object] = {
            "code": code,
            "words": [*words],
            "out": str(self._out),
            "err": str(self._err),
            # That of the process which starts all others is of when it began.
            "environment": dict(os.environ),
        }
        # A function of a test's module could not be imported there.
        self._process = forkserver().Process(target=exec, args=(PROGRAM, given))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"not ended after {timeout} s"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()
