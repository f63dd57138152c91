"""Which library carries out Lloyd's iterations."""

from __future__ import annotations

from functools import partial
from typing import Literal, Protocol

from proxysample.clustering import faiss, scikit_learn
from proxysample.clustering.lloyd import Engine, Refined, iterate
from proxysample.clustering.numpy_engine import NumpyEngine
from proxysample.clustering.torch_engine import TorchEngine
from proxysample.data.parallel import Workers
from proxysample.data.rows import Rows
from proxysample.device import resolve_device
from proxysample.errors import unknown_name
from proxysample.keeping import FloatArray

Backend = Literal["auto", "numpy", "scikit-learn", "faiss", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "numpy", "scikit-learn", "faiss", "torch")


class Refine(Protocol):
    """Moves centers of rows to rest."""

    def __call__(self, rows: Rows, centers: FloatArray) -> Refined:
        """Start from centers of shape (n_clusters, d), float64."""
        ...


def find_backend(
    backend: Backend, device: str, *, max_iter: int, tol: float, workers: Workers
) -> Refine:
    """Choose what moves centers to rest.

    Parameters
    ----------
    backend : {"auto", "numpy", "scikit-learn", "faiss", "torch"}
        "auto" takes torch on a CUDA device and numpy on a CPU. numpy and torch stream features
        that do not fit in memory, scikit-learn and faiss read them as a whole.
    device : str
        For torch and faiss: "auto", "cpu", "cuda" or "cuda:1".
    max_iter : int
        Limit of passes over the rows.
    tol : float
        Stop where a pass lowers the inertia by no more than this share of it. scikit-learn goes
        by how far the centers move instead.
    workers : Workers

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If the backend is unknown, or the device is not there.
    MissingDependencyError
        If faiss is asked for and not installed.
    """
    check_backend(backend, device)
    chosen = _fastest(device) if backend == "auto" else backend
    if chosen == "scikit-learn":
        return partial(scikit_learn.refine, max_iter=max_iter, workers=workers)
    if chosen == "faiss":
        return partial(faiss.refine, device=device, max_iter=max_iter, tol=tol, workers=workers)

    def refine(rows: Rows, centers: FloatArray) -> Refined:
        engine: Engine = (
            NumpyEngine(rows, len(centers), workers)
            if chosen == "numpy"
            else TorchEngine(rows, len(centers), resolve_device(device), workers)
        )
        return iterate(engine, centers, max_iter=max_iter, tol=tol)

    return refine


def check_backend_name(backend: object) -> None:
    """Raise `InputError` where there is no such backend, installed or not."""
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)


def check_backend(backend: Backend, device: str) -> None:
    """Raise an error where a backend or a device cannot be used here; see `find_backend`."""
    check_backend_name(backend)
    if backend == "faiss":
        faiss.find_index(faiss.import_faiss(), 1, device)
    else:
        resolve_device(device)


def _fastest(device: str) -> Backend:
    return "torch" if resolve_device(device).type == "cuda" else "numpy"
