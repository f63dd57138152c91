from __future__ import annotations

import os
import sys
from collections.abc import Callable

# Test processes run side by side; threads that wait for one another's cores turn milliseconds
# into seconds. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


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
