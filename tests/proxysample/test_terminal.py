from __future__ import annotations

import io
import sys

import pytest

from proxysample.terminal import hides_progress


class Watched(io.StringIO):
    def isatty(self):
        return True


class NotebookStream(io.StringIO):
    pass


NotebookStream.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize(
    ("stream", "hidden"),
    [(Watched(), False), (NotebookStream(), False), (io.StringIO(), True), (None, True)],
)
def test_a_bar_shows_where_somebody_watches(monkeypatch, stream, hidden):
    monkeypatch.setattr(sys, "stderr", stream)
    assert hides_progress(True) == hidden
    assert hides_progress(False)
