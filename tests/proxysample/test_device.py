"""The device, and cuDNN's settings, which belong to the user."""

from __future__ import annotations

import pytest
import torch

from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta:x"])
def test_an_unknown_device_says_what_to_pass(device: str) -> None:
    with pytest.raises(InputError, match=f"'{device}' is not available here; pass 'auto'"):
        resolve_device(device)


def test_a_device_without_values_is_refused() -> None:
    with pytest.raises(InputError, match="'meta' is of a kind that nothing here"):
        resolve_device("meta")


def test_cudnn_is_left_as_it_was_found() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    with deterministic_kernels():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == before
