"""Which library carries out Lloyd's iterations: our engines, scikit-learn or faiss."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from proxysample.clustering.engines import Engine, NumpyEngine, Refined, TorchEngine, iterate
from proxysample.device import resolve_device
from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.features.rows import Float32Array, Rows, Workers
from proxysample.keeping import FloatArray

# scikit-learn stops where the centers move by no more than this, squared and in units of the
# features' mean variance; its default, which the paper's code has.
TOL = 1e-4

# Each start copies the features, and once more while it looks at their variance. Starts run side
# by side only as far as their copies take no more than this.
COPIED_BYTES = 5 << 28


def refine_by_scikit_learn(
    rows: Rows, centers: FloatArray, *, max_iter: int, workers: Workers
) -> Refined:
    """Move centers to the means of their clusters until they rest.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole.
    centers : ndarray of shape (n_clusters, d), float64
        Start.
    max_iter : int
        Limit of passes.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)
    with _duplicates_allowed():
        return _fit(features, len(centers), init=centers.astype(np.float32), max_iter=max_iter)


def best_random_start(
    rows: Rows,
    n_clusters: int,
    *,
    n_init: int,
    max_iter: int,
    random: np.random.Generator,
    workers: Workers,
) -> Refined:
    """Start from random rows, several times, and take the best.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole.
    n_clusters : int
    n_init : int
        Number of starts.
    max_iter : int
        Limit of passes for each.
    random : Generator
        Draws the starts.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)
    seeds = random.integers(2**32, size=n_init).tolist()

    def start(number: int) -> Refined:
        return _fit(
            features, n_clusters, init="random", max_iter=max_iter, random_state=seeds[number]
        )

    side_by_side = max(1, min(workers.n_threads, COPIED_BYTES // (2 * features.nbytes)))
    with _duplicates_allowed(), Workers(side_by_side) as starters:
        # min takes the first of equals, so the order in which starts end does not count.
        return min(starters.map(start, range(n_init)), key=lambda refined: refined.inertia)


def _fit(features: Float32Array, n_clusters: int, **parameters: Any) -> Refined:
    from sklearn.cluster import KMeans

    # On several threads scikit-learn adds up centers in parts, one a thread, so their last bits
    # would depend on how many there are. The limit holds for the calling thread alone.
    with threadpool_limits(limits=1, user_api="openmp"):
        fitted = KMeans(n_clusters, n_init=1, tol=TOL, **parameters).fit(features)
    return Refined(
        fitted.cluster_centers_.astype(np.float64), float(fitted.inertia_), int(fitted.n_iter_)
    )


@contextmanager
def _duplicates_allowed() -> Iterator[None]:
    """Silence the warning that there are fewer distinct rows than clusters."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        yield


# faiss runs as many iterations as it is told; after so many the gain is looked at.
ITERATIONS_PER_CALL = 5


def import_faiss() -> Any:
    """Import faiss.

    Returns
    -------
    module

    Raises
    ------
    MissingDependencyError
        If neither faiss-cpu nor faiss-gpu is installed.
    """
    try:
        with warnings.catch_warnings():
            # Its bindings' generator leaves classes without a module, of which Python warns.
            warnings.filterwarnings("ignore", "builtin type .*", DeprecationWarning)
            return importlib.import_module("faiss")
    except ImportError as error:
        raise MissingDependencyError(
            "backend='faiss' needs faiss: pip install 'proxysample[faiss]' for the CPU or "
            "'proxysample[faiss-gpu]' for CUDA (one of them: both install the same package), "
            "or pass backend='auto'"
        ) from error


def refine_by_faiss(
    rows: Rows,
    centers: FloatArray,
    *,
    max_iter: int,
    tol: float,
    device: str,
    workers: Workers,
) -> Refined:
    """Move centers to the means of their clusters until that gains little.

    faiss fills a cluster that lost its rows by splitting a large one.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole; every row counts.
    centers : ndarray of shape (n_clusters, d), float64
        Start.
    max_iter : int
        Limit of passes.
    tol : float
        Stop where a pass lowers the inertia by no more than this share of it, on the average
        over `ITERATIONS_PER_CALL` passes.
    device : str
        See `find_index`.
    workers : Workers

    Returns
    -------
    Refined

    Raises
    ------
    MissingDependencyError
        If faiss is not installed.
    InputError
        If it cannot use the device.
    """
    faiss = import_faiss()
    features = rows.to_array(workers)
    index = find_index(faiss, rows.n_features, device)
    previous, n_iter = np.inf, 0
    while n_iter < max_iter:
        n_passes = min(ITERATIONS_PER_CALL, max_iter - n_iter)
        centers, inertia = _train(faiss, features, centers, n_passes, index)
        n_iter += n_passes
        if previous - inertia <= tol * n_passes * inertia:
            break
        previous = inertia
    return Refined(centers, inertia, n_iter)


def _train(
    faiss: Any, features: Any, centers: FloatArray, n_passes: int, index: Any
) -> tuple[FloatArray, float]:
    n_clusters, n_features = centers.shape
    clustering = faiss.Clustering(n_features, n_clusters)
    clustering.niter = n_passes
    # Without these two faiss trains on a sample, or warns of few rows.
    clustering.max_points_per_centroid = len(features)
    clustering.min_points_per_centroid = 1
    faiss.copy_array_to_vector(centers.astype(np.float32).ravel(), clustering.centroids)
    clustering.train(features, index)
    trained = faiss.vector_to_array(clustering.centroids).reshape(n_clusters, n_features)
    statistics = clustering.iteration_stats
    return trained.astype(np.float64), float(statistics.at(statistics.size() - 1).obj)


def find_index(faiss: Any, n_features: int, device: str) -> Any:
    """Build the index that finds nearest centers, on one device.

    Parameters
    ----------
    faiss : module
    n_features : int
        d.
    device : str
        "auto" takes the first GPU where faiss sees one; else "cpu", "cuda" or "cuda:1".

    Returns
    -------
    faiss.Index

    Raises
    ------
    InputError
        If faiss sees no such device.
    """
    n_gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
    kind, _, number = str(device).partition(":")
    if kind == "cpu" or (kind == "auto" and not n_gpus):
        return faiss.IndexFlatL2(n_features)
    number = number or "0"
    if kind not in ("auto", "cuda") or not number.isdecimal() or int(number) >= n_gpus:
        raise InputError(
            f"faiss sees {n_gpus} GPUs here, not {device!r}; pass device='cpu', or install "
            "'proxysample[faiss-gpu]' in place of 'proxysample[faiss]'"
        )
    configuration = faiss.GpuIndexFlatConfig()
    configuration.device = int(number)
    return faiss.GpuIndexFlatL2(faiss.StandardGpuResources(), n_features, configuration)


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
        return partial(refine_by_scikit_learn, max_iter=max_iter, workers=workers)
    if chosen == "faiss":
        return partial(refine_by_faiss, device=device, max_iter=max_iter, tol=tol, workers=workers)

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
        find_index(import_faiss(), 1, device)
    else:
        resolve_device(device)


def _fastest(device: str) -> Backend:
    return "torch" if resolve_device(device).type == "cuda" else "numpy"
