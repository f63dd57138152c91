"""A search that was killed goes on, and ends with the same bits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.searchers import DARTS, SearchResult, checkpoint
from proxysample_nas.searchers.checkpoint import Checkpoint

from ...forked import Forked
from .prepared import SMALL_SEARCH

# So small a search may well collapse; that is not the subject here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::proxysample_nas.searchers.remedies.SearchCollapseWarning"
)

SETTINGS: dict[str, Any] = SMALL_SEARCH | {
    "epochs": 6,
    "architecture_learning_rate": 0.02,
    "gradient_clip": 0.5,  # low enough to clip every step, and so to need what the step before left
}


def search(digits: Any, path: Path | None = None, **changes: Any) -> SearchResult:
    train, validation = Subset(digits.train, range(200)), Subset(digits.test, range(60))
    return DARTS(**(SETTINGS | changes)).search(train, validation, checkpoint=path)


def without_times(result: SearchResult) -> SearchResult:
    return replace(result, history=tuple(replace(record, seconds=0.0) for record in result.history))


def final_tensors(path: Path) -> dict[str, torch.Tensor]:
    return Checkpoint.load(path).tensors


def assert_same_bits(first: Path, second: Path) -> None:
    tensors, expected = final_tensors(first), final_tensors(second)
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        assert torch.equal(value, expected[name]), name


PROGRAM = """
import sys
from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers import DARTS
from torch.utils.data import Subset

digits = load_dataset("digits")
train, validation = Subset(digits.train, range(200)), Subset(digits.test, range(60))
DARTS(**{settings!r}).search(train, validation, checkpoint={path!r})
"""


def test_a_killed_process_leaves_a_search_that_ends_with_the_same_bits(
    digits: Any, forked: Callable[..., Forked], tmp_path: Path
) -> None:
    settings = SETTINGS | {"epochs": 6, "protocol": "paper"}
    path = tmp_path / "killed.safetensors"
    process = forked(PROGRAM.format(settings=settings, path=str(path)))
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    n_done = len(Checkpoint.load(path).history)
    assert 0 < n_done < 6
    resumed = search(digits, path, **settings)
    whole = search(digits, tmp_path / "whole.safetensors", **settings)
    assert without_times(resumed) == without_times(whole)
    assert_same_bits(path, tmp_path / "whole.safetensors")


def test_a_fresh_seed_is_kept(digits: Any, tmp_path: Path) -> None:
    path = tmp_path / "fresh.safetensors"
    result = search(digits, path, epochs=1, random_state=None)
    assert search(digits, path, epochs=1, random_state=None) == result
    assert Checkpoint.load(path).seed == result.info.seed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 7}, r"epochs=7 \(checkpoint: 1\)"),
        ({"order": 2}, r"order=2 .* searcher='darts-v2'"),
        ({"random_state": 1}, r"random_state=1 \(checkpoint: 0\)"),
        ({"augmentation": None}, "augmentation=None"),
    ],
)
def test_a_checkpoint_of_other_parameters_is_refused(
    digits: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "search.safetensors"
    search(digits, path, epochs=1)
    with pytest.raises(InputError, match=message):
        search(digits, path, **({"epochs": 1} | changes))


def test_a_checkpoint_of_other_data_is_refused(digits: Any, tmp_path: Path) -> None:
    path = tmp_path / "search.safetensors"
    search(digits, path, epochs=1)
    searcher = DARTS(**(SETTINGS | {"epochs": 1}))
    train, validation = Subset(digits.train, range(200)), Subset(digits.test, range(60))
    for other in (
        (Subset(digits.train, range(1, 201)), validation),
        (train, Subset(digits.test, range(61))),
        (train, None),
    ):
        with pytest.raises(InputError, match="differing: the data"):
            searcher.search(*other, checkpoint=path)


def test_how_fast_a_search_runs_may_change(digits: Any, tmp_path: Path) -> None:
    path = tmp_path / "search.safetensors"
    result = search(digits, path, epochs=1)
    again = search(digits, path, epochs=1, device="auto", progress=True)
    assert again.history == result.history


def test_a_file_that_is_no_checkpoint_is_refused_and_kept(digits: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("important")
    with pytest.raises(InputError, match="not a checkpoint that can be read"):
        search(digits, path)
    assert path.read_text() == "important"
    foreign = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(InputError, match="not a checkpoint of a search"):
        search(digits, foreign)
    with pytest.raises(InputError, match="not a checkpoint that can be read"):
        search(digits, tmp_path)


def test_a_failed_save_leaves_the_last_one(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "search.safetensors"
    search(digits, path, epochs=1)
    saved = Checkpoint.load(path)

    def full_disk(tensors: Any, filename: Path, metadata: Any) -> None:
        Path(filename).write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(InputError, match=r"search\.safetensors cannot be written: no space left"):
        replace(saved, seed=99).save(path)
    assert Checkpoint.load(path).seed == 0
    assert [file.name for file in tmp_path.iterdir()] == ["search.safetensors"]


def test_a_folder_that_another_removes_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, make, met = tmp_path / "search.safetensors", os.mkdir, []

    def in_the_way(name: str, mode: int = 0o777) -> None:
        if not met and str(name).endswith(".part"):
            met.append(name)
            raise FileExistsError(name)
        make(name, mode)

    monkeypatch.setattr(os, "mkdir", in_the_way)
    Checkpoint(1, {}, "", (), {"w": torch.zeros(2)}).save(path)
    assert met == [path.with_name("search.safetensors.part")]
    assert Checkpoint.load(path).seed == 1


def test_two_that_keep_a_search_in_one_file_write_it_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "search.safetensors"

    def keep(seed: int) -> None:
        for _ in range(20):
            tensors = {"w": torch.full((5_000,), float(seed))}
            Checkpoint(seed, {}, "", (), tensors).save(path)
            saved = Checkpoint.load(path)
            assert bool((saved.tensors["w"] == saved.seed).all())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(keep, [1, 2]))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_was_moved_away_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "moved" / "unfinished" / "search.safetensors"
    with pytest.raises(InputError, match="moved does not exist"):
        Checkpoint(0, {}, "", (), {}).save(path)
    assert not list(tmp_path.iterdir())
