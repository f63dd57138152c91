"""What holds for every registered searcher: repeatable, told, kept, resumed, checked."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.utils.data import Subset
from tqdm import tqdm

from proxysample.checks import constraints_of
from proxysample.data.datasets import ArrayDataset, load_dataset
from proxysample.errors import InputError
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import Searcher, SearchResult, create_searcher, list_searchers
from proxysample_nas.searchers.checkpoint import Checkpoint
from proxysample_nas.testing import Check, searcher_checks, small_digits, without_times

from .prepared import prepared

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

COMMON: dict[str, Any] = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 3,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
# Low enough to clip every step: the paper's protocol then needs what the step before left.
GRADIENT: dict[str, Any] = {"architecture_learning_rate": 0.02, "gradient_clip": 0.5}
OWN: dict[str, dict[str, Any]] = {
    "darts-v1": GRADIENT,
    "darts-v2": GRADIENT,
    "gdas": GRADIENT,
    "enas": {"controller_updates": 3, "controller_samples": 2, "n_candidates": 4},
    "random": {"n_samples": 3},
}
# One trains nothing; see test_zero_cost.py.
TRAINING = [name for name in list_searchers() if name != "zero-cost"]
every_searcher = pytest.mark.parametrize("name", TRAINING)


def small(name: str, **changes: Any) -> Searcher:
    return create_searcher(name, **(COMMON | OWN[name] | changes))


def has_protocols(name: str) -> bool:
    return "protocol" in create_searcher(name).get_params()


NAMES_AND_PROTOCOLS = [
    (name, protocol)
    for name in TRAINING
    for protocol in (("default", "paper") if has_protocols(name) else (None,))
]


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def proxy(digits: Any) -> Any:
    return Subset(digits.train, range(64))


@pytest.fixture(scope="module")
def validation(digits: Any) -> Any:
    return Subset(digits.test, range(60))


@every_searcher
def test_a_class_that_the_proxy_lacks_is_known(name: str, digits: Any) -> None:
    targets = np.asarray(digits.train.targets)
    without_nine = Subset(digits.train, np.flatnonzero(targets != 9)[:100].tolist())
    searcher = small(name, epochs=1)
    assert searcher.search(without_nine).info.n_classes == 9
    assert searcher.search(without_nine, digits.test).info.n_classes == 10
    assert searcher.search(without_nine, classes=range(10)).info.n_classes == 10


@pytest.mark.parametrize("check", searcher_checks(), ids=lambda check: check.__name__)
@every_searcher
def test_our_searchers_pass_the_checks_that_are_published(check: Check, name: str) -> None:
    # The bits of cells of more edges are compared below, by a check that is stricter.
    check(small(name, epochs=2, n_nodes=2), small_digits(64))


def state_of(searcher: Any, proxy: Any) -> Any:
    data = prepared(proxy)
    return searcher._create_state(data, seed=0)


@pytest.mark.parametrize("name", [name for name in TRAINING if has_protocols(name)])
def test_the_published_settings_reach_the_supernet_and_its_optimizers(
    name: str, proxy: Any
) -> None:
    sizes = {"channels": 1, "cells_per_stage": 1}
    for protocol, track, expected in [
        ("default", None, False),
        ("paper", None, True),
        ("default", True, True),
        ("paper", False, False),
    ]:
        searcher = create_searcher(name, protocol=protocol, track_running_stats=track, **sizes)
        assert state_of(searcher, proxy).supernet.track_running_stats == expected
    state = state_of(create_searcher(name, **sizes), proxy)
    assert state.supernet.n_nodes == 5
    (weights,) = state.weight_optimizer.param_groups
    enas = name == "enas"
    optimizer = state.controller_optimizer if enas else state.architecture_optimizer
    (architecture,) = optimizer.param_groups
    told = [weights[key] for key in ("lr", "momentum", "weight_decay", "nesterov")]
    assert told == ([0.05, 0.9, 2.5e-4, True] if enas else [0.025, 0.9, 5e-4, True])
    told = [architecture[key] for key in ("lr", "betas", "eps", "weight_decay")]
    assert told == ([1e-3, (0.0, 0.999), 1e-3, 0] if enas else [3e-4, (0.5, 0.999), 1e-8, 1e-3])


class InterruptedSearchError(Exception):
    """Stands for whatever ends a process in the middle of an epoch."""


def interrupt_after(monkeypatch: pytest.MonkeyPatch, n_updates: int) -> None:
    """Fail when a progress bar is advanced once more, whether it is shown or not."""
    left = n_updates

    def update(self: Any, n: int = 1) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise InterruptedSearchError

    monkeypatch.setattr(tqdm, "update", update)


@pytest.mark.parametrize(("name", "protocol"), NAMES_AND_PROTOCOLS)
def test_an_interrupted_search_ends_with_the_same_bits(
    name: str,
    protocol: str | None,
    proxy: Any,
    validation: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher = small(name, **({} if protocol is None else {"protocol": protocol}))
    n_updates = 0
    original = tqdm.update

    def counting(self: Any, n: int = 1) -> Any:
        nonlocal n_updates
        n_updates += 1
        return original(self, n)

    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "update", counting)
        whole = searcher.search(proxy, validation, checkpoint=tmp_path / "whole.safetensors")

    path = tmp_path / "folder" / "killed.safetensors"
    with monkeypatch.context() as patch:
        # In the middle of the last of three epochs.
        interrupt_after(patch, 5 * n_updates // 6)
        with pytest.raises(InterruptedSearchError):
            searcher.search(proxy, validation, checkpoint=path)
    n_done = len(Checkpoint.load(path).history)
    assert n_done > 0
    resumed = searcher.search(proxy, validation, checkpoint=path)
    assert without_times(resumed) == without_times(whole)
    tensors, expected = (
        Checkpoint.load(file).tensors for file in (path, tmp_path / "whole.safetensors")
    )
    assert tensors.keys() == expected.keys()
    for key, value in tensors.items():
        assert torch.equal(value, expected[key]), key


@every_searcher
def test_a_finished_search_is_read_and_not_run_again(
    name: str,
    proxy: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_a_terminal: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "done.safetensors"
    result = small(name, epochs=1).search(proxy, checkpoint=path)
    interrupt_after(monkeypatch, 0)
    assert small(name, epochs=1, progress=True).search(proxy, checkpoint=path) == result
    # The bar begins where the search goes on.
    assert "100%" in at_a_terminal.readouterr().err


@every_searcher
def test_a_checkpoint_of_other_parameters_is_refused(name: str, proxy: Any, tmp_path: Path) -> None:
    path = tmp_path / "search.safetensors"
    small(name, epochs=1).search(proxy, checkpoint=path)
    with pytest.raises(InputError, match=r"batch_size=16 \(checkpoint: 32\)"):
        small(name, epochs=1, batch_size=16).search(proxy, checkpoint=path)


@every_searcher
def test_a_searcher_is_an_estimator(name: str) -> None:
    searcher = small(name)
    assert clone(searcher).get_params() == searcher.get_params()
    json.dumps(searcher.parameters_as_json())
    # Every default is shown as such.
    assert repr(create_searcher(name)).count("=") <= 1
    with pytest.raises(TypeError):
        type(searcher)(3)


@every_searcher
def test_numbers_of_numpy_count_as_pythons(name: str, proxy: Any) -> None:
    given = {"n_nodes": np.int64(3), "epochs": np.int32(1), "batch_size": np.uint8(32)}
    searcher = small(name, **given, learning_rate=np.float64(0.025), random_state=np.int64(7))
    result = searcher.search(proxy)
    plain = small(name, epochs=1, learning_rate=0.025, random_state=7).search(proxy)
    assert without_times(result) == without_times(plain)
    assert SearchResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert searcher.epochs is given["epochs"]


@every_searcher
def test_constraints_are_of_parameters_that_there_are(name: str) -> None:
    kind = type(create_searcher(name))
    constraints = constraints_of(kind)
    assert constraints.keys() <= inspect.signature(kind).parameters.keys()
    missing = inspect.signature(kind).parameters.keys() - constraints.keys()
    # Of a space, what builds it tells.
    assert missing == {"space"}
    create_searcher(name).check_parameters()


@every_searcher
def test_progress_is_shown_on_demand(
    name: str, proxy: Any, at_a_terminal: pytest.CaptureFixture[str]
) -> None:
    small(name, epochs=1).search(proxy)
    assert at_a_terminal.readouterr().err == ""
    small(name, epochs=1, progress=True).search(proxy)
    shown = at_a_terminal.readouterr().err
    assert f"searching, {name}" in shown
    assert "100%" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_nodes": 1}, "n_nodes must be"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"channels": -2}, "channels must be a positive integer"),
        ({"batch_size": 1.5}, "batch_size must be a positive integer"),
        ({"learning_rate": -1}, "learning_rate must be a finite number"),
        ({"momentum": 0}, "nesterov=True needs a momentum"),
        ({"random_state": -1}, "random_state must be"),
        ({"augmentation": "flip"}, "augmentation must be"),
        ({"normalization": 0.5}, "normalization must be"),
        ({"nesterov": "False"}, "nesterov must be True or False, not 'False'"),
        ({"progress": 0}, "progress must be True or False, not 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@every_searcher
def test_bad_parameters_are_refused_before_the_data_is_read(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small(name, **changes).search("no dataset")
    with pytest.raises(InputError, match=message):
        small(name, **changes).check_parameters()


@every_searcher
def test_whether_statistics_are_tracked_is_no_text(name: str) -> None:
    if "track_running_stats" in small(name).get_params():
        message = "track_running_stats must be True, False or None, not 'False'"
        with pytest.raises(InputError, match=message):
            small(name, track_running_stats="False").check_parameters()
        for value in (True, False, None):
            small(name, track_running_stats=value).check_parameters()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture_fraction": 1.0}, "strictly between 0 and 1"),
        ({"normalization": Normalization((0.5,) * 3, (0.5,) * 3)}, "1 channels"),
    ],
)
@every_searcher
def test_parameters_that_do_not_fit_the_data_are_refused(
    name: str, proxy: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small(name, **changes).search(proxy)


@pytest.mark.parametrize(("name", "protocol"), NAMES_AND_PROTOCOLS)
def test_the_paper_protocol_needs_validation_data(
    name: str, protocol: str | None, proxy: Any
) -> None:
    if protocol == "paper":
        with pytest.raises(InputError, match="pass validation="):
            small(name, protocol=protocol).search(proxy)
    elif protocol is not None:
        with pytest.raises(InputError, match="did you mean 'paper'"):
            small(name, protocol="papper").search(proxy)


@every_searcher
def test_validation_images_have_the_shape_of_the_training_images(name: str, proxy: Any) -> None:
    larger = ArrayDataset(np.zeros((4, 16, 16, 1), dtype=np.uint8), [0, 1, 2, 3])
    with pytest.raises(InputError, match="differ in shape"):
        small(name).search(proxy, larger)
