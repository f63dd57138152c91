"""Which library carries out Lloyd's iterations: our engines, scikit-learn or faiss."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np
from scipy import sparse

from proxysample.clustering.engines import (
    Engine,
    Finder,
    NumpyEngine,
    Refined,
    TorchEngine,
    iterate,
)
from proxysample.device import resolve_device
from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.features.rows import Array, Precision, Rows, Workers
from proxysample.isolation import thread_pools
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import shown

# scikit-learn stops where the centers move by no more than this, squared and in units of the
# features' mean variance; its default, which the paper's code has. Features that need double
# precision have a variance that a few huge values make up, which is no measure of the others.
TOL = 1e-4
TOL_IN_FLOAT64 = 0.0

# Each start copies the features, and once more while it looks at their variance. Starts run side
# by side only as far as their copies take no more than this.
COPIED_BYTES = 5 << 28


def refine_by_scikit_learn(
    rows: Rows,
    centers: FloatArray,
    *,
    max_iter: int,
    movement_share: float = 1.0,
    workers: Workers,
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
    movement_share : float
        Share of the tolerance; see `find_backend`.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)
    start = centers.astype(features.dtype)
    with _duplicates_allowed():
        return _fit(features, len(centers), movement_share, init=start, max_iter=max_iter)


def best_random_start(
    rows: Rows,
    n_clusters: int,
    *,
    max_iter: int,
    seeds: Sequence[int],
    movement_share: float = 1.0,
    workers: Workers,
) -> Refined:
    """Start from random rows, several times, and take the best.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole.
    n_clusters : int
    max_iter : int
        Limit of passes for each start.
    seeds : sequence of int
        One for each start.
    movement_share : float
        Share of the tolerance; see `find_backend`.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)

    def start(seed: int) -> Refined:
        return _fit(
            features,
            n_clusters,
            movement_share,
            init="random",
            max_iter=max_iter,
            random_state=seed,
        )

    side_by_side = max(1, min(workers.n_threads, COPIED_BYTES // (2 * features.nbytes)))
    with _duplicates_allowed(), Workers(side_by_side) as starters:
        # min takes the first of equals, so the order in which starts end does not count.
        return min(starters.map(start, seeds), key=lambda refined: refined.inertia)


def _fit(features: Array, n_clusters: int, movement_share: float, **parameters: Any) -> Refined:
    from sklearn.cluster import KMeans

    tol = TOL if features.dtype == np.float32 else TOL_IN_FLOAT64
    if features.dtype == np.float64:
        # Of dense features it takes the mean off, and with a huge value's share in it the digits
        # of all others; sparse ones it leaves as they are.
        features = sparse.csr_array(features)
    # On several threads scikit-learn adds up centers in parts, one a thread, so their last bits
    # would depend on how many there are. The limit holds for the calling thread alone.
    with thread_pools().limit(limits=1, user_api="openmp"):
        fitted = KMeans(n_clusters, n_init=1, tol=tol * movement_share, **parameters).fit(features)
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


class FaissFinder:
    """Finds nearest centers by faiss, which has single precision alone.

    Lloyd's iterations around it are ours: faiss's own train on a sample, never end or end the
    process where rows are few, equal or beyond single precision.

    Parameters
    ----------
    index : faiss.Index
        See `find_index`; emptied before the centers are put in.
    lock : lock
        Held while the index is asked: on a GPU it serves one thread at a time.
    centers : ndarray of shape (n_clusters, d), float64
    """

    def __init__(self, index: Any, lock: Lock, centers: FloatArray) -> None:
        self._index = index
        self._lock = lock
        self._half_norms = np.einsum("ij,ij->i", centers, centers) / 2
        self._centers = np.ascontiguousarray(centers, dtype=np.float32)
        index.reset()
        index.add(self._centers)

    def nearest(self, features: Array) -> tuple[IntArray, Array]:
        """Give the nearest center of each row, and its affinity; see `Finder.nearest`."""
        with self._lock:
            _, found = self._index.search(np.ascontiguousarray(features), 1)
        labels: IntArray = found[:, 0]
        products = np.einsum("ij,ij->i", features, self._centers[labels])
        return labels, products - self._half_norms[labels].astype(np.float32)


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
            f"faiss sees {n_gpus} GPUs here, not {shown(device)}; pass device='cpu', or install "
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
    backend: Backend,
    device: str,
    *,
    max_iter: int,
    tol: float,
    spherical: bool = False,
    movement_share: float = 1.0,
    workers: Workers,
) -> Refine:
    """Choose what moves centers to rest.

    Parameters
    ----------
    backend : {"auto", "numpy", "scikit-learn", "faiss", "torch"}
        "auto" takes torch on a CUDA device and numpy on a CPU. scikit-learn reads the features as
        a whole, the others stream what does not fit in memory. faiss finds nearest centers in
        single precision; rows of double precision are numpy's instead.
    device : str
        For torch and faiss: "auto", "cpu", "cuda" or "cuda:1".
    max_iter : int
        Limit of passes over the rows.
    tol : float
        Stop where a pass lowers the inertia by no more than this share of it. scikit-learn goes
        by how far the centers move instead.
    spherical : bool
        Keep the centers at unit length, for rows of unit length; see `check_spherical`.
    movement_share : float
        Share of scikit-learn's tolerance to take, for rows that had more features once.
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
        return partial(
            refine_by_scikit_learn,
            max_iter=max_iter,
            movement_share=movement_share,
            workers=workers,
        )

    def refine(rows: Rows, centers: FloatArray) -> Refined:
        engine = _engine(chosen, device, rows, len(centers), workers)
        return iterate(engine, centers, max_iter=max_iter, tol=tol, spherical=spherical)

    return refine


def _engine(backend: str, device: str, rows: Rows, n_clusters: int, workers: Workers) -> Engine:
    if backend == "torch":
        return TorchEngine(rows, n_clusters, resolve_device(device), workers)
    if backend == "faiss" and rows.precision is np.float32:
        index = find_index(import_faiss(), rows.n_features, device)
        lock = Lock()

        def prepare(centers: FloatArray, precision: Precision) -> Finder:  # noqa: ARG001
            return FaissFinder(index, lock, centers)

        return NumpyEngine(rows, n_clusters, workers, prepare)
    return NumpyEngine(rows, n_clusters, workers)


def check_spherical(backend: Backend) -> None:
    """Raise `InputError` where a backend has no K-Means by angles."""
    if backend == "scikit-learn":
        raise InputError(
            "scikit-learn has no K-Means by angles; take backend='numpy', 'torch' or 'faiss' with "
            "metric='cosine'"
        )


def check_backend_name(backend: object) -> None:
    """Raise `InputError` where there is no such backend, installed or not."""
    if not isinstance(backend, str) or backend not in BACKENDS:
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
