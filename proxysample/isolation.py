"""A clean context for our work: whatever modes a user has set, and left as they were."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from proxysample.errors import InputError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Restore = Callable[[], None]

AUTOCAST_DEVICES = ("cpu", "cuda")


@contextmanager
def isolated() -> Iterator[None]:
    """Work in the modes that a fresh process has; on leaving, all is as the user had it.

    Inside, autocasting, deterministic algorithms and the search for anomalies are off, gradients
    are recorded, new tensors are float32 on the CPU, products are of full precision, numbers near
    zero are kept, and numpy warns of overflows as it does by default. Restored on leaving, also
    from an error, are these, the global generators of random numbers, the number of threads, the
    filters of warnings, environment variables and how processes start, whatever libraries that
    are imported for the first time do to them.

    Examples
    --------
    >>> import torch
    >>> with torch.autocast("cpu", torch.bfloat16), isolated():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    import numpy as np

    with ExitStack() as left:
        for keep in (_keep_generators, _keep_variables, _keep_warnings, _keep_start_method):
            left.callback(keep())
        left.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if "torch" in sys.modules:
            _use_default_modes(left)
        else:
            # Its modes are then those that it begins with; only its generator may be drawn from.
            left.callback(_reset_generator_of_torch)
        try:
            yield
        except (MemoryError, RuntimeError, BlockingIOError) as error:
            if is_for_memory(error):
                raise InputError(
                    f"this takes more memory than there is ({error}); give fewer samples, or "
                    "smaller ones"
                ) from error
            if isinstance(error, BlockingIOError) or "start new thread" in str(error):
                raise InputError(
                    f"the machine begins no more threads or processes ({error}); end some, or "
                    "have its limits raised"
                ) from error
            raise


def is_for_memory(error: Exception) -> bool:
    """Tell whether numpy, Python or torch, on a CPU, say that memory has run out."""
    return isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)


def thread_pools() -> ThreadpoolController:
    """Give the thread pools of the libraries that are loaded.

    To look for them takes milliseconds, as long as a small experiment: it is done again only after
    more was imported.
    """
    return _pools_of(len(sys.modules))


@lru_cache(maxsize=1)
def _pools_of(n_modules: int) -> ThreadpoolController:  # noqa: ARG001
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def isolate_worker(number: int) -> None:  # noqa: ARG001
    """Have a process that decodes work so until it ends; it may have run the user's script."""
    context = isolated()
    context.__enter__()
    _ENTERED.append(context)


_ENTERED: list[Any] = []


def _keep_generators() -> Restore:
    import numpy as np

    of_python, of_numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002

    def restore() -> None:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002

    return restore


def _keep_variables() -> Restore:
    before = os.environ.copy()

    def restore() -> None:
        if os.environ != before:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    return restore


def _keep_warnings() -> Restore:
    before = list(warnings.filters)

    def restore() -> None:
        if list(warnings.filters) != before:
            warnings.filters[:] = before  # type: ignore[index]
            # Modules remember what they have warned of until filters change by such a context.
            with warnings.catch_warnings():
                pass

    return restore


def _keep_start_method() -> Restore:
    import multiprocessing

    if multiprocessing.get_start_method(allow_none=True) is not None:
        return _nothing

    def restore() -> None:
        # The first process that is started settles the method for all of the user's.
        multiprocessing.set_start_method(None, force=True)

    return restore


def _nothing() -> None:
    pass


def _reset_generator_of_torch() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(torch.default_generator.initial_seed())


def _use_default_modes(left: ExitStack) -> None:
    import torch

    for keep in (_keep_torchs_generators, _keep_threads, _leave_autocast, _use_default_type):
        left.callback(keep())
    for keep in (_use_any_algorithm, _use_full_precision, _leave_anomalies, _use_denormals):
        left.callback(keep())
    left.enter_context(torch.inference_mode(mode=False))
    left.enter_context(torch.enable_grad())
    if not _makes_tensors_on_cpu():
        left.enter_context(torch.device("cpu"))


def _makes_tensors_on_cpu() -> bool:
    import torch

    # What torch 2.6 tells of its default device misses ``with torch.device(...)``, and fails after
    # ``torch.set_default_device(None)``.
    try:
        return torch.empty(0).device.type == "cpu"
    except (RuntimeError, AssertionError):
        # On a GPU that is not there, or not for a process that was forked.
        return False


def _keep_torchs_generators() -> Restore:
    import torch

    state = torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if _has_started_gpus() else []

    def restore() -> None:
        torch.set_rng_state(state)
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)

    return restore


def _has_started_gpus() -> bool:
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _keep_threads() -> Restore:
    import torch

    before = torch.get_num_threads()

    def restore() -> None:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)

    return restore


def _leave_autocast() -> Restore:
    import torch

    enabled = [one for one in AUTOCAST_DEVICES if torch.is_autocast_enabled(one)]
    depth = torch.autocast_increment_nesting() - 1
    # Casts of weights are kept until the outermost context ends, however they change meanwhile:
    # contexts of our own are to be outermost.
    for _ in range(depth + 1):
        torch.autocast_decrement_nesting()
    if enabled or depth:
        torch.clear_autocast_cache()
    for device in enabled:
        torch.set_autocast_enabled(device, False)

    def restore() -> None:
        for _ in range(depth):
            torch.autocast_increment_nesting()
        for device in enabled:
            torch.set_autocast_enabled(device, True)

    return restore


def _use_default_type() -> Restore:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    return lambda: torch.set_default_dtype(before)


def _use_any_algorithm() -> Restore:
    import torch

    before = torch.get_deterministic_debug_mode()
    if before:
        # Ours are chosen for giving the same bits; others' have no such kernel of every kind.
        torch.set_deterministic_debug_mode("default")
        return lambda: torch.set_deterministic_debug_mode(before)
    return _nothing


def _leave_anomalies() -> Restore:
    import torch

    before, checks_nan = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    if not before:
        return _nothing
    # Whoever looks for NaN of their own gets an error from inside where ours tells of it.
    torch.set_anomaly_enabled(False)
    return lambda: torch.set_anomaly_enabled(before, checks_nan)


def _use_denormals() -> Restore:
    import torch

    smallest = torch.tensor(1e-30, dtype=torch.float32, device="cpu")
    if float(smallest * 1e-10) or not torch.set_flush_denormal(False):
        return _nothing

    def restore() -> None:
        torch.set_flush_denormal(True)

    return restore


def _use_full_precision() -> Restore:
    import torch

    # torch 2.9 has one switch for every kind of operation, which inherit from the first.
    if not hasattr(torch.backends, "fp32_precision"):
        before = torch.get_float32_matmul_precision()
        if before == "highest":
            return _nothing
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(before)
    restored: list[tuple[Any, str]] = []
    backends: Any = torch.backends
    for switch, default in (
        (backends, "none"),
        (backends.cuda.matmul, "none"),
        (backends.mkldnn.matmul, "none"),
        (backends.mkldnn.conv, "none"),
        (backends.mkldnn.rnn, "none"),
        (backends.cudnn.conv, "tf32"),
        (backends.cudnn.rnn, "tf32"),
    ):
        if switch.fp32_precision != default:
            restored.append((switch, switch.fp32_precision))
            switch.fp32_precision = default

    def restore() -> None:
        for switch, precision in reversed(restored):
            switch.fp32_precision = precision

    return restore
