"""When a search stops early, what it then yields, and that it stays stopped."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Subset
from tqdm import tqdm

from proxysample.errors import InputError
from proxysample_nas.searchers import EpochRecord, Searcher, SearchResult
from proxysample_nas.searchers.remedies import reason_to_stop
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201

from .prepared import small_search

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

SKIP, SMALL, LARGE = (
    NAS_BENCH_201.index(name) for name in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")
)


def record(epoch: int, rows: tuple[tuple[float, ...], ...], n_skips: int = 0) -> EpochRecord:
    others = len(rows) - n_skips
    cell = Cell(("skip_connect",) * n_skips + ("nor_conv_3x3",) * others)
    return EpochRecord(epoch, cell, rows, 0.025, 2.0, 20.0, 2.0, 20.0, 1.0)


def rows_of(orders: tuple[bool, ...], skip: float = 0.2) -> tuple[tuple[float, ...], ...]:
    """Give each edge the larger (True) or the smaller convolution as the likelier one."""
    rows = []
    for larger in orders:
        row = [0.0] * 5
        row[SKIP] = skip
        row[SMALL], row[LARGE] = (0.1, 0.3) if larger else (0.3, 0.1)
        rows.append(tuple(row))
    return tuple(rows)


def test_skip_connections_are_counted_in_the_last_genotype_alone() -> None:
    rows = rows_of((True,) * 3)
    history = [record(0, rows, 2), record(1, rows, 1)]
    stop = {"stop_at_skips": 2, "stop_when_stable": None}
    assert reason_to_stop([], **stop) is None
    assert reason_to_stop(history, **stop) is None
    reason = reason_to_stop(history[:1], **stop)
    assert reason == "after epoch 1, 2 of 3 edges are skip connections (stop_at_skips=2)"
    assert reason_to_stop([record(0, rows, 3)], **stop) is not None


def test_only_the_operations_that_learn_are_ranked() -> None:
    first, second = rows_of((True, False, True), 0.0), rows_of((True, False, True), 0.9)
    history = [record(0, first), record(1, second)]
    assert reason_to_stop(history, stop_at_skips=None, stop_when_stable=1) == (
        "after epoch 2, 1 epochs in a row have left the order of the convolutions on every edge "
        "as it was (stop_when_stable=1)"
    )
    other = [record(0, first), record(1, rows_of((True, False, False)))]
    assert reason_to_stop(other, stop_at_skips=None, stop_when_stable=1) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans())), st.integers(1, 4))
def test_stable_means_that_so_many_epochs_changed_nothing(
    orders: list[tuple[bool, bool, bool]], n_epochs: int
) -> None:
    history = [record(epoch, rows_of(order)) for epoch, order in enumerate(orders)]
    unchanged = 0
    for before, after in itertools.pairwise(orders):
        unchanged = unchanged + 1 if before == after else 0
    reason = reason_to_stop(history, stop_at_skips=None, stop_when_stable=n_epochs)
    assert (reason is not None) == (unchanged >= n_epochs)


@pytest.fixture(scope="module")
def proxy(digits: Any) -> Any:
    return Subset(digits.train, range(100))


def small(name: str, **changes: Any) -> Searcher:
    return small_search(name, **({"epochs": 4, "architecture_learning_rate": 0.05} | changes))


def without_times(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(one, seconds=0.0) for one in history]


every_gradient_searcher = pytest.mark.parametrize("name", ["darts-v1", "gdas"])


@every_gradient_searcher
def test_a_search_that_never_meets_its_rules_keeps_its_bits(name: str, proxy: Any) -> None:
    plain = small(name).search(proxy)
    watched = small(name, stop_at_skips=4, stop_when_stable=4).search(proxy)
    assert without_times(watched.history) == without_times(plain.history)
    assert len(watched.history) == 4
    assert watched.info.stopped_early is None


@every_gradient_searcher
def test_a_search_ends_when_its_ranking_is_stable(name: str, proxy: Any) -> None:
    frozen = {"architecture_learning_rate": 0.0}
    whole = small(name, **frozen).search(proxy)
    stopped = small(name, **frozen, stop_when_stable=2).search(proxy)
    assert without_times(stopped.history) == without_times(whole.history[:3])
    assert stopped.cell == whole.history[2].cell
    assert stopped.n_steps == 3 * stopped.info.steps_per_epoch
    assert "after epoch 3, 2 epochs" in str(stopped.info.stopped_early)
    assert SearchResult.from_dict(json.loads(json.dumps(stopped.to_dict()))) == stopped


@pytest.mark.usefixtures("begun_collapsed")
@every_gradient_searcher
def test_a_search_that_stopped_does_not_go_on(
    name: str,
    proxy: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_a_terminal: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "search.safetensors"
    result = small(name, stop_at_skips=3).search(proxy, checkpoint=path)
    assert len(result.history) == 1
    assert "after epoch 1, 3 of 3 edges are skip" in str(result.info.stopped_early)

    def no_step(*args: Any, **options: Any) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(tqdm, "update", no_step)
    again = small(name, stop_at_skips=3, progress=True).search(proxy, checkpoint=path)
    assert again == result
    # Nothing is left to do.
    assert "100%" in at_a_terminal.readouterr().err


def test_the_last_epoch_stops_nothing_early(proxy: Any) -> None:
    result = small("darts-v1", architecture_learning_rate=0.0, stop_when_stable=3).search(proxy)
    assert len(result.history) == 4
    assert result.info.stopped_early is None


@pytest.mark.parametrize("name", ["stop_at_skips", "stop_when_stable"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_bad_rules_are_refused_before_the_data_is_read(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} must be a positive integer or None"):
        small("darts-v1", **{name: value}).search("no dataset")
