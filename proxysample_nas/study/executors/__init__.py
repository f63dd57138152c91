"""Where experiments run: in this process, in several on this machine, or on a Ray cluster."""

from __future__ import annotations

import os
from typing import Literal, get_args

from proxysample.errors import InputError, unknown_name
from proxysample_nas.study.executors.base import Executor, WorkerDiedError
from proxysample_nas.study.experiments.workbench import Workbench

__all__ = ["Executor", "ExecutorName", "WorkerDiedError", "create_executor"]

ExecutorName = Literal["in-process", "processes", "ray"]


def create_executor(
    workbench: Workbench,
    name: ExecutorName | None = None,
    *,
    n_workers: int | None = None,
    n_threads: int = 1,
    n_gpus: float | None = None,
    address: str | None = None,
) -> Executor:
    """Choose where experiments run.

    Parameters
    ----------
    workbench : Workbench
        Of this process; its tasks' progress bars show where tasks run one after another.
    name : {"in-process", "processes", "ray"}, optional
        By default, this process where `n_workers` comes to 1, and processes elsewhere.
    n_workers : int, optional
        Experiments side by side. By default one for each `n_threads` cores, and one where there
        is a GPU; on Ray, as many as the cluster has room for.
    n_threads : int
        Threads of each experiment on a CPU.
    n_gpus : float, optional
        GPUs of each experiment on Ray; see `RayCluster`.
    address : str, optional
        Of a running Ray cluster; see `RayCluster`.

    Returns
    -------
    Executor

    Raises
    ------
    InputError
        If the name is unknown, or a number or an option does not fit it.
    MissingDependencyError
        If Ray is asked for and not installed.

    Examples
    --------
    >>> from proxysample_nas.study import preset
    >>> workbench = Workbench(preset("digits"))
    >>> type(create_executor(workbench, "in-process")).__name__
    'InProcess'
    """
    _check(name, n_workers, n_threads, n_gpus, address)
    if name == "ray":
        from proxysample_nas.study.executors.ray_cluster import RayCluster

        return RayCluster(
            workbench, n_workers=n_workers, n_threads=n_threads, n_gpus=n_gpus, address=address
        )
    if n_workers is None:
        n_workers = 1 if name == "in-process" else default_workers(n_threads)
    if name == "in-process" or (name is None and n_workers == 1):
        from proxysample_nas.study.executors.in_process import InProcess

        return InProcess(workbench, n_threads=n_threads)
    from proxysample_nas.study.executors.local_processes import LocalProcesses

    return LocalProcesses(workbench, n_workers=n_workers, n_threads=n_threads)


def default_workers(n_threads: int = 1) -> int:
    """Count the experiments that fit this machine side by side.

    Parameters
    ----------
    n_threads : int
        Of each.

    Returns
    -------
    int
        One for each `n_threads` cores, or one where there is a GPU.
    """
    import torch

    return 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1) // n_threads)


def _check(
    name: str | None,
    n_workers: int | None,
    n_threads: int,
    n_gpus: float | None,
    address: str | None,
) -> None:
    names = get_args(ExecutorName)
    if name is not None and name not in names:
        raise unknown_name("executor", name, names)
    for what, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        if value is not None and value < 1:
            raise InputError(f"{what} must be at least 1, not {value}")
    if name == "in-process" and n_workers not in (None, 1):
        raise InputError(
            f"the executor 'in-process' runs one experiment at a time, not {n_workers}; choose "
            "'processes'"
        )
    _check_for_ray(name, n_gpus, address)


def _check_for_ray(name: str | None, n_gpus: float | None, address: str | None) -> None:
    if name != "ray" and (n_gpus is not None or address is not None):
        raise InputError("n_gpus and address are for the executor 'ray'; choose it, or leave both")
    if n_gpus is not None and (n_gpus < 0 or (n_gpus > 1 and n_gpus != int(n_gpus))):
        raise InputError(f"n_gpus must be a fraction of a GPU or a whole number, not {n_gpus}")
