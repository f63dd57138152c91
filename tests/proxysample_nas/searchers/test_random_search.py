"""Cells are drawn uniformly and evaluated as a trainer evaluates them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample_nas.searchers import RandomSearch, SearchCollapseWarning, SearchResult
from proxysample_nas.searchers.base import stream
from proxysample_nas.searchers.candidates import check_n_cells, draw_cells, n_cells
from proxysample_nas.space.cell import Cell, all_cells
from proxysample_nas.training.trainer import CellTrainer

from .prepared import SMALL_SEARCH, generator_of, prepared


@pytest.mark.parametrize("connected_only", [True, False])
def test_as_many_cells_can_be_drawn_as_there_are(connected_only: bool) -> None:
    for n_nodes in (2, 3, 4):
        available = n_cells(n_nodes, connected_only=connected_only)
        check_n_cells(available, n_nodes, connected_only=connected_only)
        with pytest.raises(InputError, match=f"since there are {available};"):
            check_n_cells(available + 1, n_nodes, connected_only=connected_only)


@pytest.mark.parametrize("connected_only", [True, False])
def test_a_huge_cell_is_checked_at_once(connected_only: bool) -> None:
    check_n_cells(10**6, 2**60, connected_only=connected_only)


@pytest.mark.parametrize("n_nodes", [2, 3, 4])
def test_the_counts_are_those_of_enumeration(n_nodes: int) -> None:
    connected = [cell.is_connected for cell in all_cells(n_nodes)]
    assert n_cells(n_nodes, connected_only=False) == len(connected)
    assert n_cells(n_nodes, connected_only=True) == sum(connected)


@given(n=st.integers(1, 20), seed=st.integers(0, 2**32), n_nodes=st.integers(3, 6))
@settings(max_examples=30)
def test_drawn_cells_are_distinct_and_connected(n: int, seed: int, n_nodes: int) -> None:
    cells = draw_cells(n, n_nodes, connected_only=True, generator=generator_of(seed))
    assert len(cells) == len(set(cells)) == n
    assert all(cell.is_connected and cell.n_nodes == n_nodes for cell in cells)
    assert cells == draw_cells(n, n_nodes, connected_only=True, generator=generator_of(seed))


def test_every_cell_can_be_drawn() -> None:
    available = n_cells(3, connected_only=True)
    cells = draw_cells(available, 3, connected_only=True, generator=generator_of(0))
    assert set(cells) == {cell for cell in all_cells(3) if cell.is_connected}
    everything = draw_cells(125, 3, connected_only=False, generator=generator_of(0))
    assert set(everything) == set(all_cells(3))


def test_all_cells_are_equally_likely() -> None:
    generator = generator_of(0)
    drawn = [
        draw_cells(1, 2, connected_only=True, generator=generator)[0].indices[0]
        for _ in range(2000)
    ]
    shares = np.bincount(drawn, minlength=5) / 2000
    np.testing.assert_allclose(shares, [0, 0.25, 0.25, 0.25, 0.25], atol=4 * 0.44 / math.sqrt(2000))


def small_search(**changes: Any) -> RandomSearch:
    return RandomSearch(**(SMALL_SEARCH | {"n_samples": 3} | changes))


def test_cells_are_evaluated_as_a_trainer_evaluates_them(proxy: Any) -> None:
    result = small_search().search(proxy)
    data = prepared(proxy)
    trainer = CellTrainer(
        channels=2, cells_per_stage=1, epochs=2, batch_size=32, device="cpu", progress=False,
        normalization=data.normalization,
    )  # fmt: skip
    seeds = torch.randint(2**32, (3,), generator=stream(0, "initialization")).tolist()
    cells = draw_cells(3, 3, connected_only=True, generator=stream(0, "operations"))
    for record, cell, seed in zip(result.history, cells, seeds, strict=True):
        run = trainer.train_once(cell, data.weights, data.architecture, seed)
        assert record.cell == cell
        assert record.architecture_accuracy == run.accuracy
        assert (record.train_loss, record.train_accuracy) == (
            run.train_losses[-1],
            run.train_accuracy,
        )
        assert record.architecture_loss is None
    assert result.info.steps_per_epoch == 2 * math.ceil(100 / 32)
    assert len(set(seeds)) == 3


def evaluated_by(monkeypatch: pytest.MonkeyPatch, accuracies: dict[str, float]) -> None:
    """Have the trainer report given accuracies for cells of one edge."""
    original = CellTrainer.train_once

    def train_once(self: Any, cell: Cell, *args: Any) -> Any:
        run = original(self, cell, *args)
        return replace(run, accuracy=accuracies[cell.operations[0]])

    monkeypatch.setattr(CellTrainer, "train_once", train_once)


def test_the_most_accurate_cell_wins_and_is_no_collapse(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated_by(
        monkeypatch,
        {"skip_connect": 60.0, "nor_conv_1x1": 50.0, "nor_conv_3x3": 40.0, "avg_pool_3x3": 30.0},
    )
    result = small_search(n_nodes=2, n_samples=4, epochs=1).search(proxy)
    assert result.cell == Cell(("skip_connect",))
    assert result.final_choice is not None
    assert sorted(one.accuracy for one in result.final_choice.candidates) == [30, 40, 50, 60]
    assert {one.n_samples for one in result.final_choice.candidates} == {100}
    assert result.seconds == sum(record.seconds for record in result.history)


def test_the_first_of_equals_wins(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated_by(
        monkeypatch, dict.fromkeys(("skip_connect", "nor_conv_1x1", "nor_conv_3x3"), 50.0)
        | {"avg_pool_3x3": 50.0},
    )  # fmt: skip
    result = small_search(n_nodes=2, n_samples=4, epochs=1).search(proxy)
    assert result.cell == result.history[0].cell


def test_a_disconnected_cell_is_drawn_only_on_demand(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    evaluated_by(monkeypatch, dict.fromkeys(names, 10.0) | {"none": 20.0})
    with pytest.warns(SearchCollapseWarning, match="no path from its input"):
        result = small_search(n_nodes=2, n_samples=5, epochs=1, connected_only=False).search(proxy)
    assert result.cell == Cell(("none",))


def test_one_sample_is_just_drawn(
    proxy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(CellTrainer, "train_once", None)
    path = tmp_path / "drawn.safetensors"
    result = small_search(n_samples=1).search(proxy, checkpoint=path)
    assert result.cell.is_connected
    assert (result.history, result.n_steps) == ((), 0)
    assert SearchResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert small_search(n_samples=1).search(proxy, checkpoint=path) == result
    cells = {small_search(n_samples=1, random_state=seed).search(proxy).cell for seed in range(8)}
    assert len(cells) > 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a positive integer"),
        ({"n_nodes": 2, "n_samples": 5}, "5 distinct connected cells of 2 nodes .* there are 4"),
        ({"n_nodes": 2, "n_samples": 6, "connected_only": False}, "6 distinct cells"),
        ({"weight_decay": -1}, "weight_decay must be"),
        ({"connected_only": "False"}, "connected_only must be True or False, not 'False'"),
    ],
)
def test_bad_parameters_say_what_to_do(proxy: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_search(**changes).search(proxy)
