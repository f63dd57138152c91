"""A connection to Ray that leaves this process as it was."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from proxysample.errors import InputError, MissingDependencyError


class RaySession:
    """Connects to a Ray cluster, or starts one on this machine.

    A Ray to which this process is connected already is used, and left running.

    Parameters
    ----------
    address : str or None
        Of a running cluster; None starts one here.
    n_cpus : int or None
        CPUs that one started here is to have; by default those of the machine.

    Attributes
    ----------
    ray : module

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    InputError
        If the cluster cannot be reached.
    """

    def __init__(self, address: str | None, n_cpus: int | None) -> None:
        if find_spec("ray") is None:
            raise MissingDependencyError(
                "Ray is not installed: pip install 'proxysample[ray]', or choose the executor "
                "'processes'"
            )
        import ray

        self.ray: Any = ray
        self._is_ours = not ray.is_initialized()
        self._variables = _variables_of_ray()
        if self._is_ours:
            self._start(address, n_cpus)

    def _start(self, address: str | None, n_cpus: int | None) -> None:
        settings: dict[str, Any] = {"address": address or "local"}
        if address is None:
            settings |= {"include_dashboard": False}
            # Ray counts cores, and would have experiments wait that were asked to share them.
            settings |= {"num_cpus": n_cpus}
        # Its use is not reported to its makers, unless the user has said otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with _unchanged_signals():
                self.ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            self.close()
            raise InputError(
                f"Ray cannot be reached at {address or 'this machine'}: {error}"
            ) from error

    def resources(self) -> dict[str, float]:
        """Count what the cluster has, such as ``"CPU"`` and ``"GPU"``."""
        found: dict[str, float] = self.ray.cluster_resources()
        return found

    def close(self) -> None:
        """Disconnect, and stop what was started here."""
        if self._is_ours:
            self.ray.shutdown()
            for name in _variables_of_ray():
                del os.environ[name]
            os.environ.update(self._variables)
            self._is_ours = False


def _variables_of_ray() -> dict[str, str]:
    """Give the environment variables that Ray sets on starting, one of ``breakpoint()`` too."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"
    }


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Keep Ray from handling this process's SIGTERM, which ends a study in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
