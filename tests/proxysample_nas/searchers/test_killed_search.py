"""Searches whose process is killed by the system, so that nothing in it can tidy up."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tqdm import tqdm

from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers import SearchResult, create_searcher, list_searchers
from proxysample_nas.searchers.checkpoint import Checkpoint

from ...forked import Forked
from .prepared import SMALL_SEARCH

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

COMMON = SMALL_SEARCH | {"epochs": 3, "batch_size": 16}
OWN: dict[str, dict[str, Any]] = {
    "enas": {"controller_updates": 3, "controller_samples": 2, "n_candidates": 3},
    "random": {"n_samples": 3},
}

# Arguments: searcher, parameters, data, checkpoint, what kills, and after how many of it.
SEARCH = """
import json, os, signal, sys, warnings
import tqdm
from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers import checkpoint, create_searcher

warnings.simplefilter("ignore")
name, parameters, data, path, event, left = sys.argv[1:]
left = int(left)

def count():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def save_file(tensors, part, metadata, original=checkpoint.save_file):
    original(tensors, part, metadata=metadata)
    count()

if event == "update":
    tqdm.tqdm.update = lambda self, n=1: count()
else:
    checkpoint.save_file = save_file
searcher = create_searcher(name, **json.loads(parameters))
searcher.search(load_dataset(data).train, checkpoint=path)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    train = load_dataset("digits").train
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, images=train.images[:96], labels=np.asarray(train.targets)[:96])
    return f"npz:{path}"


def parameters_of(name: str) -> dict[str, Any]:
    return COMMON | OWN.get(name, {})


def search(name: str, data: str, path: Path) -> SearchResult:
    searcher = create_searcher(name, **parameters_of(name))
    return searcher.search(load_dataset(data).train, checkpoint=path)


@pytest.fixture
def killed(forked: Callable[..., Forked], data: str) -> Callable[..., None]:
    """Search in a process that is killed."""

    def run(name: str, path: Path, event: str, after: int) -> None:
        words = [name, json.dumps(parameters_of(name)), data, str(path), event, str(after)]
        process = forked(SEARCH, *words)
        assert process.wait() == -signal.SIGKILL, process.stderr

    return run


def without_times(result: SearchResult) -> SearchResult:
    selection = result.final_choice
    return replace(
        result,
        history=tuple(replace(record, seconds=0.0) for record in result.history),
        final_choice=None if selection is None else replace(selection, seconds=0.0),
    )


def check_same_end(name: str, data: str, path: Path, whole_path: Path, whole: Any) -> None:
    assert without_times(search(name, data, path)) == without_times(whole)
    tensors, expected = (Checkpoint.load(file).tensors for file in (path, whole_path))
    assert tensors.keys() == expected.keys()
    for key, value in tensors.items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", [one for one in list_searchers() if one != "zero-cost"])
def test_a_search_killed_in_an_epoch_ends_with_the_same_bits(
    name: str, data: str, killed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_updates = 0

    def count(self: Any, n: int = 1) -> None:
        nonlocal n_updates
        n_updates += 1

    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "update", count)
        whole = search(name, data, tmp_path / "whole.safetensors")
    path = tmp_path / "killed.safetensors"
    # In the middle of the second of three epochs.
    killed(name, path, "update", n_updates // 2)
    n_done = len(Checkpoint.load(path).history)
    assert 0 < n_done < len(whole.history)
    check_same_end(name, data, path, tmp_path / "whole.safetensors", whole)


@pytest.mark.parametrize("name", ["gdas"])
def test_a_search_killed_while_it_writes_keeps_what_it_had(
    name: str, data: str, killed: Any, tmp_path: Path
) -> None:
    path = tmp_path / "killed.safetensors"
    killed(name, path, "written", 1)
    assert len(Checkpoint.load(path).history) == 1
    assert list(tmp_path.glob("*.part"))
    whole = search(name, data, tmp_path / "whole.safetensors")
    check_same_end(name, data, path, tmp_path / "whole.safetensors", whole)
    # What was left half written is gone.
    assert not list(tmp_path.glob("*.part"))
