"""Features computed on the machines of a Ray cluster, by Ray Data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.device import resolve_device
from proxysample.errors import InputError, MissingDependencyError
from proxysample.experiments.executors import fixed_threads, sendable
from proxysample.experiments.ray import RaySession, n_actors, room, versions

if TYPE_CHECKING:
    from proxysample.features.embedding import Embedder

Array = npt.NDArray[Any]

PACKAGES_OF_RAY_DATA = ("ray", "pandas", "pyarrow")

# Blocks that a worker is handed at a time are so many that each gets as many hands full.
HANDS_PER_WORKER = 8


def blocks_on_ray(
    embedder: Embedder,
    spans: Sequence[tuple[int, slice]],
    *,
    n_workers: int | None,
    n_threads: int | None,
    n_gpus: float | None,
    address: str | None,
) -> Iterator[tuple[int, Array]]:
    """Compute the features of blocks in Ray workers; see `proxysample.embed`.

    The dataset and the network go to the cluster through Ray's object store; features come back
    to this process, which alone writes them.

    Yields
    ------
    block : int
        In any order.
    features : ndarray of shape (rows, d), float32

    Raises
    ------
    MissingDependencyError
        If Ray Data is not installed.
    InputError
        If the cluster cannot be reached, has no room or other versions, or a worker cannot read a
        sample.
    """
    missing = [name for name in PACKAGES_OF_RAY_DATA if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"Ray Data needs {' and '.join(missing)}: pip install 'proxysample[ray]', or leave "
            "executor at 'in-process'"
        )
    if not spans:
        return
    import torch

    threads = n_threads or torch.get_num_threads()
    n_cpus = None if n_workers is None else n_workers * threads
    session = RaySession(address, n_cpus)
    try:
        gpus, n_most = room(session.resources(), threads, n_gpus)
        workers = n_actors(n_workers, n_most, threads, gpus)
        yield from _computed(session.ray, embedder, spans, workers, threads, gpus)
    finally:
        session.close()


def _computed(
    ray: Any,
    embedder: Embedder,
    spans: Sequence[tuple[int, slice]],
    n_workers: int,
    n_threads: int,
    n_gpus: float,
) -> Iterator[tuple[int, Array]]:
    import ray.data

    with _quiet(ray), sendable():
        embedder.backbone.to("cpu")
        shipped = ray.put(embedder)
        rows = [
            {"block": block, "start": span.start, "stop": span.stop} for block, span in spans
        ]
        hands = min(len(rows), n_workers * HANDS_PER_WORKER)
        computed = ray.data.from_items(rows, override_num_blocks=hands).map_batches(
            RayEmbedder,
            fn_constructor_args=(shipped, n_threads, bool(n_gpus), versions()),
            batch_size=max(1, len(rows) // hands),
            concurrency=min(n_workers, hands),
            num_cpus=n_threads,
            num_gpus=n_gpus,
            batch_format="numpy",
        )
        for row in computed.iter_rows():
            if row["error"]:
                raise InputError(row["error"])
            features = np.frombuffer(row["features"], np.float32)
            yield int(row["block"]), features.reshape(-1, int(row["n_features"]))


class RayEmbedder:
    """Computes blocks in a worker; Ray Data makes it an actor.

    Parameters
    ----------
    shipped : ObjectRef
        Of an `Embedder`.
    n_threads : int
    has_gpu : bool
        Whether Ray gives it one, or a part of one.
    versions_there : dict
        Of the process that asks.
    """

    def __init__(
        self, shipped: Any, n_threads: int, has_gpu: bool, versions_there: dict[str, str]
    ) -> None:
        import ray

        self.embedder: Embedder = ray.get(shipped)
        self.embedder.device = resolve_device("cuda" if has_gpu else "cpu")
        self.embedder.num_workers = 0
        self.n_threads = n_threads
        self.unlike = [
            f"{name} {here} there and {versions_there[name]} here"
            for name, here in versions().items()
            if here != versions_there[name]
        ]

    def __call__(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Compute the features of some blocks.

        What is wrong comes back as a text: an error would have Ray try again and again.
        """
        spans = [
            (int(block), slice(int(start), int(stop)))
            for block, start, stop in zip(batch["block"], batch["start"], batch["stop"], strict=True)
        ]
        computed: list[tuple[int, int, bytes]] = []
        error = ""
        try:
            if self.unlike:
                raise InputError(
                    "features would not be the same on every machine of the Ray cluster: "
                    f"{', '.join(self.unlike)}; install the same versions"
                )
            with fixed_threads(self.n_threads):
                for block, features in self.embedder.blocks(spans):
                    computed.append((block, features.shape[1], features.tobytes()))
        except InputError as wrong:
            error = str(wrong)
            computed.append((-1, 0, b""))
        blocks, n_features, contents = zip(*computed, strict=True)
        errors = [""] * (len(computed) - 1) + [error]
        return {
            "block": np.array(blocks, dtype=np.int64),
            "n_features": np.array(n_features, dtype=np.int64),
            "features": np.array(contents, dtype=object),
            "error": np.array(errors, dtype=object),
        }


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray Data from writing of its progress, which a bar of ours shows."""
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars
    logger = logging.getLogger("ray.data")
    level = logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        logger.setLevel(level)
