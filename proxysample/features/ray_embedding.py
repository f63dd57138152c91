"""Features computed on the machines of a Ray cluster, by Ray Data."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from proxysample.data.decoding import FormChangedError
from proxysample.device import resolve_device
from proxysample.errors import InputError, MissingDependencyError
from proxysample.experiments.executors import fixed_threads, sendable
from proxysample.experiments.ray import RaySession, n_actors, room
from proxysample.machine import other_versions, package_versions

if TYPE_CHECKING:
    from proxysample.features.embedding import Embedder

Array = npt.NDArray[Any]

PACKAGES_OF_RAY_DATA = ("ray", "pandas", "pyarrow")

# Blocks that a worker is handed at a time are so many that each gets as many hands full.
HANDS_PER_WORKER = 8


@dataclass(frozen=True)
class RayBlocks:
    """Computes the features of blocks in Ray workers; see `proxysample.embed`.

    The dataset and the network go to the cluster through Ray's object store; features come back
    to this process, which alone writes them.
    """

    embedder: Embedder
    n_workers: int | None
    n_threads: int | None
    n_gpus: float | None
    address: str | None

    def __call__(self, spans: Sequence[tuple[int, slice]]) -> Iterator[tuple[int, Array]]:
        """Compute blocks, which come in any order.

        Raises
        ------
        MissingDependencyError
            If Ray Data is not installed.
        InputError
            If the cluster cannot be reached, has no room or other versions, or a worker cannot
            read a sample.
        """
        missing = [name for name in PACKAGES_OF_RAY_DATA if find_spec(name) is None]
        if missing:
            raise MissingDependencyError(
                f"Ray Data needs {' and '.join(missing)}: pip install 'proxysample[ray]', or "
                "leave executor at 'in-process'"
            )
        if not spans:
            return
        n_threads = self.n_threads or torch.get_num_threads()
        session = RaySession(
            self.address, None if self.n_workers is None else self.n_workers * n_threads
        )
        try:
            n_gpus, n_most = room(session.resources(), n_threads, self.n_gpus)
            n_workers = n_actors(self.n_workers, n_most, n_threads, n_gpus)
            yield from self._computed(session.ray, spans, n_workers, n_threads, n_gpus)
        finally:
            session.close()

    def _computed(
        self,
        ray: Any,
        spans: Sequence[tuple[int, slice]],
        n_workers: int,
        n_threads: int,
        n_gpus: float,
    ) -> Iterator[tuple[int, Array]]:
        import ray.data

        rows = [{"block": block, "start": span.start, "stop": span.stop} for block, span in spans]
        hands = min(len(rows), n_workers * HANDS_PER_WORKER)
        self.embedder.backbone.to("cpu")
        with _quiet(ray), sendable():
            computed = ray.data.from_items(rows, override_num_blocks=hands).map_batches(
                RayEmbedder,
                fn_constructor_args=(
                    ray.put(self.embedder),
                    n_threads,
                    bool(n_gpus),
                    package_versions(),
                ),
                batch_size=-(-len(rows) // hands),
                concurrency=min(n_workers, hands),
                num_cpus=n_threads,
                num_gpus=n_gpus,
                batch_format="numpy",
            )
            for row in computed.iter_rows():
                if row["form"]:
                    # What this run's own workers have written.
                    raise FormChangedError(pickle.loads(row["form"]))
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
    versions_there : mapping
        Of the process that asks.
    """

    def __init__(
        self, shipped: Any, n_threads: int, has_gpu: bool, versions_there: Mapping[str, str]
    ) -> None:
        import ray

        self.begin(ray.get(shipped), n_threads, has_gpu, versions_there)

    def begin(
        self, embedder: Embedder, n_threads: int, has_gpu: bool, versions_there: Mapping[str, str]
    ) -> None:
        """Take over what was sent."""
        self.embedder = embedder
        self.embedder.device = resolve_device("cuda" if has_gpu else "cpu")
        self.n_threads = n_threads
        self.unlike = other_versions(versions_there)

    def __call__(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Compute the features of some blocks.

        What is wrong comes back as a text: an error would have Ray try again and again.
        """
        spans = [
            (int(block), slice(int(start), int(stop)))
            for block, start, stop in zip(
                batch["block"], batch["start"], batch["stop"], strict=True
            )
        ]
        rows: list[dict[str, Any]] = []
        try:
            if self.unlike:
                raise InputError(
                    "features would not be the same on every machine of the Ray cluster: "
                    f"{', '.join(self.unlike)}; install the same versions"
                )
            with fixed_threads(self.n_threads):
                for block, features in self.embedder.blocks(sorted(spans)):
                    rows.append(_row(block, features))
        except FormChangedError as changed:
            rows.append(_row(form=pickle.dumps(changed.form)))
        except InputError as wrong:
            rows.append(_row(error=str(wrong)))
        kinds = {"block": np.int64, "n_features": np.int64}
        return {
            name: np.array([row[name] for row in rows], dtype=kinds.get(name, object))
            for name in rows[0]
        }


def _row(
    block: int = -1, features: Array | None = None, error: str = "", form: bytes = b""
) -> dict[str, Any]:
    n_features, content = (0, b"") if features is None else (features.shape[1], features.tobytes())
    return {
        "block": block,
        "n_features": n_features,
        "features": content,
        "error": error,
        "form": form,
    }


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray Data from writing of its progress, which a bar of ours shows."""
    with warnings.catch_warnings():
        # It warns of a setting of its own.
        warnings.simplefilter("ignore", DeprecationWarning)
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
