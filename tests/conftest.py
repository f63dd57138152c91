from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator

# Test processes run side by side; threads that wait for one another's cores turn milliseconds
# into seconds. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from .forked import Forked, forkserver


@pytest.fixture
def command_line(capsys, monkeypatch):
    """Run a command line's ``main`` as its script would: exit code, stdout and stderr."""

    def run(main: Callable[[], None], *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["command", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Forked]]:
    """Start a process that runs a program as ``python -c`` does; what still runs is killed."""
    folder = tmp_path_factory.mktemp("forked")
    started = []

    def start(code: str, *words: str) -> Forked:
        own = folder / str(len(started))
        own.mkdir()
        started.append(Forked(code, words, own))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study's workers begin at once, as copies of a process that has imported everything."""
    original = multiprocessing.get_context

    def get_context(method: str | None = None) -> object:
        return forkserver() if method == "spawn" else original(method)

    monkeypatch.setattr(multiprocessing, "get_context", get_context)
