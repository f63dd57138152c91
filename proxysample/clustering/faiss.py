"""Lloyd's iterations by faiss, on a CPU or one GPU."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from proxysample.clustering.lloyd import Refined
from proxysample.data.parallel import Workers
from proxysample.data.rows import Rows
from proxysample.errors import InputError, MissingDependencyError
from proxysample.keeping import FloatArray

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


def refine(
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
