"""Modes that a user may have set, and all that our work must leave as it was."""

from __future__ import annotations

import multiprocessing
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def _switched(change: Any, back: Any) -> Iterator[None]:
    change()
    try:
        yield
    finally:
        back()


@contextmanager
def _of_threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    with _switched(lambda: torch.set_num_threads(n_threads), lambda: torch.set_num_threads(before)):
        yield


def user_modes() -> dict[str, AbstractContextManager[Any]]:
    """Give contexts by name; each is entered once."""
    return {
        "autocast": torch.autocast("cpu", torch.bfloat16),
        "float64": _switched(
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.set_default_dtype(torch.float32),
        ),
        "no_grad": torch.no_grad(),
        "inference_mode": torch.inference_mode(),
        "default_device": _switched(
            lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)
        ),
        "device": torch.device("meta"),
        "deterministic": _switched(
            lambda: torch.use_deterministic_algorithms(True),
            lambda: torch.use_deterministic_algorithms(False),
        ),
        "threads": _of_threads(2),
        "precision": _switched(
            lambda: torch.set_float32_matmul_precision("medium"),
            lambda: torch.set_float32_matmul_precision("highest"),
        ),
        "numpy": np.errstate(all="raise"),
        "printing": np.printoptions(legacy="1.13", precision=2),
        "anomaly": _switched(
            lambda: torch.set_anomaly_enabled(True), lambda: torch.set_anomaly_enabled(False)
        ),
        "denormals": _switched(
            lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)
        ),
        "warnings": _strict(),
        "seeds": _seeded(),
        "start_method": _started_by("spawn"),
        "variables": _with_variables(),
    }


@contextmanager
def _strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The smallest sets lose classes, and searches their path; whoever makes that an error has
        # it as one.
        warnings.filterwarnings("ignore", ".* and none of .* classes")
        warnings.filterwarnings("ignore", "the searched cell has no path")
        yield


@contextmanager
def _seeded() -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])


@contextmanager
def _started_by(method: str) -> Iterator[None]:
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(method, force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


@contextmanager
def _with_variables() -> Iterator[None]:
    own = {"OMP_NUM_THREADS": "3", "CUBLAS_WORKSPACE_CONFIG": ":0:0", "PYTHONHASHSEED": "7"}
    before = dict(os.environ)
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def together() -> Iterator[None]:
    """Set all of them that leave results the same to the last bit."""
    with ExitStack() as stack:
        for name, mode in user_modes().items():
            if name != "threads":
                stack.enter_context(mode)
        yield


def state() -> dict[str, Any]:
    """Tell all modes and global states that a call may not change."""
    return {
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_enabled("cuda"),
            _autocast_depth(),
        ),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "deterministic": torch.get_deterministic_debug_mode(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "denormals": float(torch.tensor(1e-30, dtype=torch.float32, device="cpu") * 1e-10),
        "printing": np.get_printoptions(),
        "numpy": np.geterr(),
        "generators": (
            random.getstate(),
            repr(np.random.get_state()),  # noqa: NPY002
            torch.get_rng_state().tolist(),
        ),
        "variables": dict(os.environ),
        "warnings": list(warnings.filters),
        "start_method": multiprocessing.get_start_method(allow_none=True),
    }


def _autocast_depth() -> int:
    depth = torch.autocast_increment_nesting()
    torch.autocast_decrement_nesting()
    return depth - 1
