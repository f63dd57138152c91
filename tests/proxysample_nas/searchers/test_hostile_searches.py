"""Checkpoints and results of searches that a user is handed: read, or refused by our own error."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable
from dataclasses import replace as replace_fields
from functools import cache
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import Subset

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError, ProxysampleError
from proxysample_nas.searchers import SearchResult, create_searcher
from proxysample_nas.searchers.checkpoint import Checkpoint

from ...mutations import changed_values, mutations

SETTINGS: dict[str, Any] = {
    "n_nodes": 2,
    "channels": 1,
    "cells_per_stage": 1,
    "epochs": 2,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
OWN: dict[str, dict[str, Any]] = {
    "darts-v1": {"batch_size": 8},
    "random": {"batch_size": 8, "n_samples": 2},
    "enas": {"batch_size": 8, "controller_updates": 1, "controller_samples": 1, "n_candidates": 2},
}

pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")


@cache
def few_digits() -> Any:
    return Subset(load_dataset("digits").train, range(20))


def search(path: Path | None, name: str = "darts-v1") -> SearchResult:
    searcher = create_searcher(name, **(SETTINGS | OWN[name]))
    return searcher.search(few_digits(), checkpoint=path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("search") / "search.safetensors"
    search(path)
    return path.read_bytes()


def replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def test_a_mutated_checkpoint_is_read_or_refused(checkpoint: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    replace(path, checkpoint)
    assert Checkpoint.load(path).history
    (length,) = struct.unpack("<Q", checkpoint[:8])
    # The header alone, its length set right: so that what the file says is reached.
    headers = mutations(checkpoint[8 : 8 + length], 1_500, seed=1, head=length)
    whole = (struct.pack("<Q", len(one)) + one + checkpoint[8 + length :] for one in headers)
    refused = 0
    for content in chain(mutations(checkpoint, 800), whole):
        replace(path, content)
        try:
            Checkpoint.load(path)
        except InputError:
            refused += 1
    assert refused > 1_000


def test_a_mutated_result_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    result = search(None, "enas")
    result.save(path)
    assert SearchResult.load(path) == result
    content = path.read_bytes()
    refused = 0
    for mutated in mutations(content, 2_200, head=len(content)):
        replace(path, mutated)
        try:
            read = SearchResult.load(path)
            assert read.seconds >= 0
            assert read.n_steps >= 0
            assert read.cell.n_nodes > 1
        except InputError:
            refused += 1
    assert refused > 1_000


def test_every_value_of_another_type_is_read_or_refused(tmp_path: Path) -> None:
    values = search(None, "enas").to_dict()
    refused = 0
    for changed in changed_values(values):
        try:
            read = SearchResult.from_dict(changed)
            assert read.seconds >= 0
            assert read.to_dict()
        except InputError:
            refused += 1
    assert refused > 200


def test_a_result_without_an_epoch_or_a_cell_is_refused() -> None:
    values = search(None, "enas").to_dict() | {"history": [], "selection": None}
    with pytest.raises(InputError, match="neither an epoch nor a cell"):
        SearchResult.from_dict(values)


def one_of_each_sort(names: Iterable[str]) -> list[str]:
    """Of each part of a search, and of each of what an optimizer keeps, the first."""
    sorts = {(name.split(".")[0], name.split(".")[-1]): name for name in reversed(list(names))}
    return list(sorts.values())


@pytest.mark.parametrize("name", OWN)
def test_tensors_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    """Each tensor left out or replaced, in a search that goes on for another epoch."""
    path = tmp_path / "search.safetensors"
    search(path, name)
    saved = Checkpoint.load(path)
    begun = replace_fields(saved, history=saved.history[:1], final_choice=None)
    refused = 0
    chosen = one_of_each_sort(saved.tensors)
    # Of a wrong shape, one tensor in this way and the next in the other.
    wrong = cycle((torch.zeros(3, 7), torch.zeros(0)))
    for key in chosen:
        tensor = saved.tensors[key]
        others = {other: one for other, one in saved.tensors.items() if other != key}
        for value in (None, next(wrong), torch.full_like(tensor, 77)):
            given = others if value is None else others | {key: value}
            replace_fields(begun, tensors=given).save(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    search(path, name)
                except ProxysampleError:
                    refused += 1
    assert refused > len(chosen)


def test_a_foreign_file_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for described in ("", "[]", "{}", '{"seed": "x"}', "[" * 100_000, '{"seed": -1}'):
        metadata = {"format": "proxysample-nas search 1", "search": described}
        save_file({"alphas": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(InputError, match="no whole checkpoint"):
            search(path)
