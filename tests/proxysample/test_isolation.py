"""Whatever modes a user has set, results are the same, and the modes are left as they were."""

from __future__ import annotations

import os
import random
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from proxysample import (
    ArrayDataset,
    compare,
    create_sampler,
    embed,
    list_samplers,
    rank_agreement,
)
from proxysample.errors import InputError
from proxysample.experiments.experiment import Experiment, Outcome, attempt
from proxysample.isolation import isolate_worker, isolated, thread_pools
from proxysample.registry import takes_parameter
from proxysample.testing import small_digits

from ..user_modes import state, together, user_modes

QUICK = {"n_clusters": 5, "epochs": 1, "random_state": 0, "device": "cpu", "n_draws": 200}
MODES = list(user_modes())


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8))


def scores_of(name, dataset, backbone=None):
    parameters = {key: value for key, value in QUICK.items() if takes_parameter(name, key)}
    if takes_parameter(name, "record") and takes_parameter(name, "epochs"):
        # Scores by the course of a training need some of it.
        parameters |= {"epochs": 3, "features": "pixels"}
    if takes_parameter(name, "backbone"):
        parameters["backbone"] = network() if backbone is None else backbone
    return create_sampler(name, **parameters).rank(dataset).scores


def assert_alike(values, expected, mode):
    # The number of threads is the user's to choose; sums depend on it in their last bits.
    tolerance = 1e-3 if mode == "threads" else 0
    np.testing.assert_allclose(values, expected, rtol=tolerance)


def test_a_default_device_that_is_not_there_stops_nothing(monkeypatch):
    def empty(*sizes):
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")

    monkeypatch.setattr(torch, "empty", empty)
    with isolated():
        assert torch.ones(1).device.type == "cpu"


@pytest.fixture(scope="module")
def digits():
    return small_digits(120)


class Expected(dict):
    """Scores by sampler, each computed when it is asked for."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset = dataset

    def __missing__(self, name):
        self[name] = scores_of(name, self.dataset)
        return self[name]


@pytest.fixture(scope="module")
def expected(digits):
    return Expected(digits)


# All work in one context. This one trains a network, whose bits tell of every mode.
@pytest.mark.parametrize("mode", MODES)
def test_a_sampler_scores_alike_in_every_mode_of_a_users(mode, digits, expected):
    assert_alike(scores_in(user_modes()[mode], "ae", digits), expected["ae"], mode)


@pytest.mark.parametrize("name", list_samplers())
def test_every_sampler_scores_alike_in_all_modes_of_a_users_at_once(name, digits, expected):
    assert_alike(scores_in(together(), name, digits), expected[name], "together")


def scores_in(mode, name, dataset):
    backbone = network()
    with mode:
        before = state()
        scores = scores_of(name, dataset, backbone)
        assert state() == before
    return scores


@pytest.mark.parametrize("mode", MODES)
def test_features_are_the_same_in_every_mode_of_a_users(mode, digits, tmp_path):
    backbone = network()
    expected = np.array(embed(digits, backbone=backbone, folder=tmp_path / "a"))
    with user_modes()[mode]:
        before = state()
        features = embed(digits, backbone=backbone, folder=tmp_path / "b")
        assert state() == before
        assert_alike(np.array(features), expected, mode)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "autocast"])
@pytest.mark.parametrize("name", ["ae", "tl"])
def test_data_and_networks_made_in_a_mode_can_be_used_in_it_and_outside(name, mode, digits):
    with user_modes()[mode]:
        images = torch.from_numpy(np.moveaxis(digits.images, -1, 1).copy()).float() / 255
        dataset = TensorDataset(images, torch.from_numpy(digits.targets))
        inside = scores_of(name, dataset)
    np.testing.assert_array_equal(scores_of(name, dataset), inside)


def test_a_comparison_and_a_rank_agreement_are_alike_in_all_modes_at_once(tmp_path):
    digits = small_digits(60)

    def found(name):
        compared = compare(
            digits,
            ["cc-or"],
            [0.5],
            "network:epochs=1",
            seeds=1,
            draws=1,
            held_out=0.2,
            folder=tmp_path / name,
        )
        agreement = rank_agreement(
            trained_in_a_mode, {"a": 1, "b": 2, "c": 3}, digits, ["ae:epochs=1"], [0.5],
            proxy_seeds=[0], seeds=[0, 1], folder=tmp_path / f"{name} ranked", progress=False,
        )  # fmt: skip
        frame = compared.to_frame()[["method", "r", "seed", "accuracy"]]
        return frame.to_dict("list"), agreement.scores().to_dict("list")

    expected = found("plain")
    with together():
        before = state()
        inside = found("modes")
        assert state() == before
    assert inside == expected


def trained_in_a_mode(configuration, train, held_out, seed):
    layer = nn.Linear(64, configuration, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1 / 3)
    pixels = train.images.reshape(len(train), -1)
    images = torch.from_numpy(pixels.astype(np.float32))
    return float(layer(images).sum().backward() or layer.weight.grad.sum())


def test_what_a_dataset_keeps_while_it_is_read_can_be_trained_on(digits):
    class Remembering:
        def __init__(self):
            self.images = {}

        def __len__(self):
            return len(digits)

        def __getitem__(self, index):
            self.images[index] = digits[index][0] * 1
            return self.images[index], digits[index][1]

    dataset = Remembering()
    sampler = create_sampler("ae", epochs=1, random_state=0, device="cpu").fit(dataset)
    sampler.transform(dataset)
    scores_of("tl", dataset)
    assert not any(image.is_inference() for image in dataset.images.values())


@pytest.mark.parametrize("mode", MODES)
def test_everything_is_restored_after_an_error(mode):
    with user_modes()[mode]:
        before = state()
        with pytest.raises(ZeroDivisionError), isolated():
            _disturb_and_fail()
        assert state() == before


def _disturb_and_fail():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    os.environ["PROXYSAMPLE_SET_INSIDE"] = "1"
    os.environ.pop("HOME", None)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float16)
    raise ZeroDivisionError


def test_casts_of_weights_in_an_outer_context_are_not_taken_for_those_of_ours():
    layer = nn.Linear(4, 4)
    images = torch.ones(1, 4)
    with torch.autocast("cpu", torch.bfloat16):
        layer(images)
        with isolated():
            results = []
            for value in (1.0, 2.0):
                with torch.no_grad():
                    layer.weight.fill_(value)
                    layer.bias.zero_()
                with torch.autocast("cpu", torch.bfloat16):
                    results.append(layer(images)[0, 0].item())
    assert results == [4.0, 8.0]


class Telling(Experiment):
    kind = "telling"
    label = "told its modes"

    def run(self, context):
        torch.manual_seed(7)
        return Outcome({"dtype": str(torch.ones(1).dtype), "grad": torch.is_grad_enabled()})


def test_an_experiment_of_anyones_runs_in_modes_of_its_own():
    with torch.inference_mode(), user_modes()["float64"]:
        before = state()
        outcome = attempt(Telling({"a": 1}), None)
        assert state() == before
    assert outcome.result == {"dtype": "torch.float32", "grad": True}


def test_a_warning_names_the_line_of_the_user():
    images = np.zeros((20, 4, 4), dtype=np.uint8)
    with pytest.warns(UserWarning, match="classes") as told:
        create_sampler("rs", random_state=0).select(images, n=1, y=[0, 1] * 10)
    assert told[0].filename == __file__


DECODES = """
import multiprocessing, os, random, warnings
import torch
from proxysample import create_sampler
from proxysample.isolation import isolate_worker
from proxysample.testing import small_digits
from torch.utils.data import Subset

digits = Subset(small_digits(24), range(20))
# Whatever the process that this is a copy of was started by.
multiprocessing.set_start_method(None, force=True)
before = random.getstate(), list(warnings.filters), dict(os.environ), torch.get_rng_state().tolist()
create_sampler("cc-or", num_workers=1, batch_size=8).rank(digits)
assert multiprocessing.get_start_method(allow_none=True) is None
after = random.getstate(), list(warnings.filters), dict(os.environ), torch.get_rng_state().tolist()
assert before == after
multiprocessing.set_start_method("spawn")
# As the script of a user's does in a process that is spawned.
torch.set_default_dtype(torch.float64)
isolate_worker(0)
assert torch.get_default_dtype() == torch.float32
"""


def test_processes_that_decode_leave_their_way_to_start_open(forked):
    process = forked(DECODES)
    assert process.wait() == 0, process.stderr


def test_processes_that_decode_are_isolated(digits, monkeypatch):
    made = []

    class Recorded(DataLoader):
        def __init__(self, *args, **options):
            made.append(options["worker_init_fn"])
            super().__init__(*args, **options)

    monkeypatch.setattr("torch.utils.data.DataLoader", Recorded)
    dataset = [digits[index] for index in range(20)]
    sampler = create_sampler("cc-or", num_workers=1, batch_size=16)
    sampler.select(dataset, 0.5, broken="skip")
    assert len(made) >= 2
    assert set(made) == {isolate_worker}


def test_thread_pools_are_looked_for_again_after_an_import_alone(monkeypatch):
    found = thread_pools()
    assert found.info()
    assert thread_pools() is found
    monkeypatch.setitem(sys.modules, "brings_a_library", ModuleType("brings_a_library"))
    assert thread_pools() is not found


def test_arrays_are_read_alike_under_strict_numpy():
    images = np.random.default_rng(0).normal(size=(40, 6)) * 1e-200
    dataset = ArrayDataset(images, [0, 1] * 20)
    expected = create_sampler("cc-or").rank(dataset).scores
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(create_sampler("cc-or").rank(dataset).scores, expected)


@pytest.mark.parametrize("words", ["", "[enforce fail] DefaultCPUAllocator: can't allocate memory"])
def test_where_memory_runs_out_is_told(words):
    error = RuntimeError(words) if words else MemoryError()
    with pytest.raises(InputError, match="more memory than there is") as told, isolated():
        raise error
    assert told.value.__cause__ is error
    with pytest.raises(RuntimeError, match="of another kind"), isolated():
        raise RuntimeError("of another kind")


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), BlockingIOError(11, "no")]
)
def test_where_threads_and_processes_run_out_is_told(error):
    with pytest.raises(InputError, match="begins no more threads or processes"), isolated():
        raise error
