from __future__ import annotations

import sys
from collections.abc import Callable

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
