"""The benchmark of a search step runs and reports what it measured."""

from __future__ import annotations

import pytest
import torch

from benchmarks.search_step import STEPS, interleave, main, unavailable


def test_table_has_a_row_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"channels": 2, "cells-per-stage": 1, "batch-size": 4, "image-size": 4, "repeats": 1}
    arguments = [text for name, size in sizes.items() for text in (f"--{name}", str(size))]
    main([*arguments, "--n-nodes", "3", "--threads", str(torch.get_num_threads())])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line][2:]
    assert [row[1].strip() for row in rows] == list(STEPS)
    for _, _, _, plain, library, ratio, *_ in rows:
        assert float(plain) > 0
        assert float(library) > 0
        assert float(ratio) > 0


@pytest.mark.parametrize(
    ("form", "step", "reason"),
    [
        ("eager", "gdas", None),
        ("compile", "gdas", "drawn anew"),
        ("graph", "darts-v1", "needs a CUDA device"),
    ],
)
def test_what_cannot_be_timed_here_is_said(form: str, step: str, reason: str | None) -> None:
    found = unavailable(form, step, "cpu")
    assert found is None if reason is None else reason in found


def test_steps_alternate_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    seconds = interleave([lambda: order.append("a"), lambda: order.append("b")], repeats=2)
    assert order == ["a", "b"] * 3
    assert [len(taken) for taken in seconds] == [2, 2]
