"""The registry, the estimator conventions, the result, and the warnings."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

from proxysample.errors import InputError
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.searchers import (
    DARTS,
    EpochRecord,
    SearchCollapseWarning,
    SearchInfo,
    SearchResult,
    create_searcher,
    list_searchers,
)
from proxysample_nas.searchers.base import STREAMS, resolve_seed, stream
from proxysample_nas.searchers.remedies import (
    has_collapsed,
    warn_if_disconnected,
    warn_of_collapse,
)
from proxysample_nas.space.cell import Cell


def test_every_listed_searcher_can_be_created() -> None:
    for name in list_searchers():
        assert create_searcher(name).id == name


def test_listing_searchers_loads_no_torch() -> None:
    program = (
        "import sys; from proxysample_nas.searchers import list_searchers; list_searchers(); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'darts-v1'"):
        create_searcher("dart-v1")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        create_searcher("darts-v1", epoch=3)
    # The id stands for the order.
    with pytest.raises(InputError, match="unknown parameter of darts-v1 'order'"):
        create_searcher("darts-v1", order=2)


def test_a_searcher_is_an_estimator() -> None:
    searcher = DARTS(order=2, epochs=3, augmentation=Augmentation(flip=False))
    copied = clone(searcher)
    assert copied is not searcher
    assert copied.get_params() == searcher.get_params()
    assert searcher.set_params(epochs=4).epochs == 4
    assert repr(DARTS(order=2, n_nodes=4)) == "DARTS(n_nodes=4, order=2)"
    with pytest.raises(TypeError):
        DARTS(2)


def test_parameters_are_plain_json() -> None:
    searcher = DARTS(
        epochs=np.int64(3), augmentation=Augmentation(crop_padding=2), device="cpu", progress=False
    )
    values = json.loads(json.dumps(searcher.parameters_as_json()))
    assert values["epochs"] == 3
    assert values["augmentation"] == {"flip": True, "crop_padding": 2}
    assert values["architecture_betas"] == [0.5, 0.999]
    assert values.keys().isdisjoint({"device", "progress"})


def test_seeds() -> None:
    assert resolve_seed(np.int64(5)) == 5
    assert resolve_seed(None) != resolve_seed(None)
    for value in (-1, 1.5, "7", True, np.random.default_rng(0)):
        with pytest.raises(InputError, match="random_state must be"):
            resolve_seed(value)


def test_streams_are_independent_and_repeatable() -> None:
    first = {name: torch.rand(4, generator=stream(3, name)).tolist() for name in STREAMS}
    again = {name: torch.rand(4, generator=stream(3, name)).tolist() for name in STREAMS}
    assert first == again
    assert len({tuple(values) for values in first.values()}) == len(STREAMS)
    assert torch.rand(4, generator=stream(4, STREAMS[0])).tolist() != first[STREAMS[0]]


def result_of_two_epochs() -> SearchResult:
    rows = tuple((0.1, 0.3, 0.2, 0.2, 0.2 + edge / 7) for edge in range(3))
    cells = [
        Cell.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|"),
        Cell.from_string("|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|"),
    ]
    history = tuple(
        EpochRecord(epoch, cell, rows, 0.1 / (epoch + 1), 2 / 3, 50.0, 1.1, 100 / 3, 1.25)
        for epoch, cell in enumerate(cells)
    )
    info = SearchInfo("darts-v1", {"epochs": 2}, 7, 70, 30, "held out", 10, (3, 32, 32), 18, "cpu")
    return SearchResult(history, info)


def test_the_result_is_that_of_the_last_epoch() -> None:
    result = result_of_two_epochs()
    assert result.cell == result.history[1].cell
    assert result.seconds == 2.5
    assert result.n_steps == 36
    assert [record.n_skip_connections for record in result.history] == [1, 2]


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    result = result_of_two_epochs()
    result.save(tmp_path / "result.json")
    assert SearchResult.load(tmp_path / "result.json") == result
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["cell"] == "|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|"
    assert values["history"][1]["n_skip_connections"] == 2


def test_collapse_is_three_quarters_of_skip_connections() -> None:
    def with_skips(n_skips: int) -> Cell:
        return Cell(("skip_connect",) * n_skips + ("nor_conv_3x3",) * (10 - n_skips))

    assert [has_collapsed(with_skips(n)) for n in (7, 8, 10)] == [False, True, True]
    with pytest.warns(SearchCollapseWarning, match=r"after epoch 3, 8 of 10 edges"):
        warn_of_collapse(with_skips(8), 2, [])


def test_a_cell_without_a_path_is_warned_of() -> None:
    with pytest.warns(SearchCollapseWarning, match="no path from its input"):
        warn_if_disconnected(Cell.filled("none", n_nodes=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_disconnected(Cell.filled("skip_connect", n_nodes=4))


def test_any_name_makes_a_stream_and_the_known_ones_stay() -> None:
    # As they were when every name had to be known.
    told = {"initialization": 4334430513956379144, "perturbation": 7076583287685412047}
    assert {name: stream(0, name).initial_seed() for name in told} == told
    seeds = {stream(seed, name).initial_seed() for seed in (0, 1) for name in ("a", "b", *STREAMS)}
    assert len(seeds) == 2 * (2 + len(STREAMS))
    assert stream(0, "a").initial_seed() == stream(0, "a").initial_seed()
