"""Features of a whole dataset, made once: decoded in workers, computed in blocks, kept on disk."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from proxysample.checks import BOOLEAN, PROCESSES, WORKERS
from proxysample.data.adapters import is_stream
from proxysample.data.decoding import Form, FormChangedError, reads_files
from proxysample.data.fields import Broken, Field, Fields
from proxysample.data.reading import Samples
from proxysample.data.whole import with_stand_ins
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError, unknown_name
from proxysample.features.backbones import (
    PACKAGED_BACKBONE,
    WEIGHTS,
    Backbone,
    Weights,
    as_backbone,
)
from proxysample.features.batches import ROWS_PER_BLOCK, ROWS_PER_FORWARD, ImageTensors
from proxysample.features.identity import backbone_identity, dataset_identity, names_of
from proxysample.features.store import FORMAT, RECORD, DType, Features, key_of, write_beside
from proxysample.features.store_writer import StorePlan, StoreWriter, claimed
from proxysample.features.stream_embedding import StreamEmbedder
from proxysample.files import expanded, make_folder
from proxysample.isolation import isolated
from proxysample.printing import hides_progress

Array = npt.NDArray[Any]
Executor = Literal["in-process", "ray"]
Item = TypeVar("Item")
Compute: TypeAlias = Callable[[list[tuple[int, slice]]], Iterable[tuple[int, Array]]]

BATCHES_AHEAD = 4


@isolated()
def embed(
    dataset: Any,
    y: Any = None,
    *,
    image: Field | None = None,
    label: Field | None = None,
    broken: Broken | None = None,
    folder: str | os.PathLike[str],
    backbone: str | nn.Module = PACKAGED_BACKBONE,
    weights: Weights = "auto",
    input_size: int | None = None,
    dtype: DType = "float32",
    device: Any = "auto",
    num_workers: int = 0,
    progress: bool = False,
    executor: Executor = "in-process",
    n_workers: int | None = None,
    n_threads: int | None = None,
    n_gpus: float | None = None,
    address: str | None = None,
) -> Features:
    """Compute the features of a dataset by a frozen network, once, and keep them in a folder.

    What decides features names them: the pixels, the backbone and its weights, how images go into
    it, the type of number, and the versions of torch and timm. Where features of that name are in
    the folder already they are opened, and nothing is computed. They are written block by block;
    a process that was stopped or killed is taken up where it was, and the result is the same to
    the last bit. Of two processes that embed the same, one waits for the other.

    Parameters
    ----------
    dataset : array, tensor or map-style dataset, or iterable
        Images; see `proxysample.data.reading.Samples`. Labels do not change the features. What can
        only be read from its beginning (a pipeline of webdataset, a torch ``IterableDataset``, a
        generator) is read once, with its labels and keys, and begun anew after a kill; see
        `proxysample.data.read_stream` for the items that it may give.
    y : array-like of shape (n,), optional
        Labels to be kept beside the features; those of the dataset by default, where they can be
        had without decoding an image.
    image, label : str, int or callable, optional
        Where they are in an item; see `proxysample.data.reading.Samples`.
    broken : {"stop", "skip"}, optional
        What to do about a sample that cannot be read: skipped ones are told and have NaN for
        features, so that samplers skip them too, with ``broken="skip"``, and refuse them without.
    folder : str or path
        Made where it is missing; it holds as many stores as there are keys.
    backbone : str or nn.Module
        Name of a timm model (extra ``transfer``) or of a registered backbone, or a module that
        maps images (n, channels, height, width), float32 in [0, 1], to features (n, d).
    weights : {"auto", "package", "hub"}
        Where a named backbone's weights come from; see `proxysample.TransferLoss`.
    input_size : int, optional
        Pixels a side that images go in with; see `proxysample.TransferLoss`.
    dtype : {"float32", "float16"}
        float16 takes half of the disk; values beyond 65,504 are refused.
    device : str or torch.device
        "auto" takes the first CUDA device where there is one.
    num_workers : int
        Processes that decode while the network computes; 0 decodes in between. They do not change
        the result.
    progress : bool
        Show a progress bar.
    executor : {"in-process", "ray"}
        "ray" spreads the blocks over the machines of a Ray cluster by Ray Data (extra ``ray``).
    n_workers : int, optional
        Networks that compute side by side on Ray; by default as many as there is room for.
    n_threads : int, optional
        CPU threads of each on Ray; by default as many as torch has here, so that features have
        the same last bits.
    n_gpus : float, optional
        GPUs of each on Ray, such as 0.25 for four side by side on one. By default one where the
        cluster has any.
    address : str, optional
        Of a running Ray cluster; by default Ray is started here.

    Returns
    -------
    Features
        An array (n, d) on disk, to be given to samplers as ``features=``.

    Raises
    ------
    InputError
        If the dataset, the backbone or the folder cannot be used, or features that are there are
        damaged.
    MissingDependencyError
        If timm or Ray is needed and not installed.

    Examples
    --------
    >>> import tempfile
    >>> images = np.zeros((3, 2, 2), dtype=np.uint8)
    >>> folder = tempfile.mkdtemp()
    >>> embed(images, backbone=nn.Flatten(), folder=folder, dtype="float16")
    Features(3 x 4 float16, torch.nn.modules.flatten.Flatten, key ...)
    """
    BOOLEAN.check("progress", progress)
    _check(dtype, weights, executor, num_workers, n_workers, n_threads)
    _check_for_ray(executor, n_workers, n_threads, n_gpus, address)
    place = expanded(folder)
    where = resolve_device(device)
    network = as_backbone(backbone, weights, input_size)
    if is_stream(dataset):
        if y is not None or executor != "in-process" or num_workers:
            raise InputError(
                f"a {type(dataset).__name__} can only be read from its beginning, here and once: "
                "leave y, executor and num_workers out, and have it give labels and decode ahead"
            )
        stream = StreamEmbedder(dataset, Fields(image, label), broken or "stop", network, where)
        return stream.embed(place, backbone, dtype, progress)
    samples = Samples(
        dataset,
        y,
        image=image,
        label=label,
        broken=broken,
        batch_size=ROWS_PER_FORWARD,
        num_workers=num_workers,
    )
    made_of = {
        "dataset": dataset_identity(samples),
        **backbone_identity(network, backbone),
        "dtype": dtype,
    }
    store = place / key_of(made_of)
    if not (store / RECORD).is_file():
        readable, skipped = with_stand_ins(samples)
        embedder = Embedder(readable, network, where, skipped)
        # Whatever the network cannot take is told before a folder is made.
        n_features = embedder.n_features()
        make_folder(store)
        with claimed(store, is_told=progress):
            # Another process may have made it meanwhile.
            if not (store / RECORD).is_file():
                task = _Task(embedder, samples, store, made_of, n_features, dtype, progress)
                if executor == "in-process":
                    return task.run(embedder.blocks)
                from proxysample.features.ray_embedding import RayBlocks

                return task.run(
                    RayBlocks(
                        embedder,
                        n_workers=n_workers,
                        n_threads=n_threads,
                        n_gpus=n_gpus,
                        address=address,
                    )
                )
    features = Features.open(store)
    n_skipped = features.provenance.get("samples_skipped", 0)
    if n_skipped and samples.broken == "stop":
        raise InputError(
            f"{store} lacks the features of {n_skipped:,} samples, which could not be read when it "
            "was made; repair them, or pass broken='skip'"
        )
    return _with_labels(features, samples)


@dataclass(frozen=True)
class _Task:
    """A store to be made, or made whole."""

    embedder: Embedder
    samples: Samples
    store: Path
    made_of: dict[str, Any]
    n_features: int
    dtype: DType
    progress: bool

    def run(self, compute: Compute) -> Features:
        while True:
            try:
                return self._run(compute)
            except FormChangedError as changed:
                self.embedder.form = changed.form

    def _run(self, compute: Compute) -> Features:
        started = time.perf_counter()
        samples, skipped = self.samples, self.embedder.skipped
        made_by = {"device": self.embedder.device.type, "form": repr(self.embedder.form)}
        if len(skipped):
            made_by["skipped"] = sha256(skipped.tobytes()).hexdigest()[:16]
        plan = StorePlan(
            FORMAT,
            self.store.name,
            len(samples),
            self.n_features,
            self.dtype,
            ROWS_PER_BLOCK,
            made_by=made_by,
        )
        with StoreWriter(self.store, plan, skipped.tolist()) as writer:
            missing = [(block, plan.rows_of(block)) for block in writer.missing]
            n_done = len(samples) - sum(_length(span) for _, span in missing)
            with tqdm(
                total=len(samples),
                initial=n_done,
                desc="embedding",
                unit="image",
                disable=hides_progress(self.progress),
            ) as bar:
                for block, features in compute(missing):
                    writer.write(block, features)
                    bar.update(len(features))
            provenance = {
                "device": self.embedder.device.type,
                "seconds": round(time.perf_counter() - started, 3),
                "samples_taken_over": n_done,
                "weights_from": self.embedder.backbone.weights,
                **({"samples_skipped": len(skipped)} if len(skipped) else {}),
            }
            return writer.finish(
                self.made_of, provenance, _known_labels(samples), names_of(samples.dataset)
            )


def _known_labels(samples: Samples) -> Array | None:
    """Give labels that cost no decoding; those of items where all were just decoded."""
    if samples.cheap_labels is None and not samples.is_decoded:
        return None
    try:
        return samples.labels
    except InputError:
        # Masks, boxes or several labels a sample, which features can do without.
        return None


def _with_labels(features: Features, samples: Samples) -> Features:
    """Have the labels beside features be those of the dataset at hand, which do not decide them."""
    labels, keys = samples.cheap_labels, names_of(samples.dataset)
    new_labels = labels if labels is not None and not _same(features.labels, labels) else None
    new_keys = keys if keys is not None and not _same(features.keys, np.array(keys)) else None
    if new_labels is None and new_keys is None:
        return features
    try:
        write_beside(features.folder, new_labels, new_keys)
    except InputError as error:
        raise InputError(
            f"{features.folder} has these features with other labels or keys, which cannot be "
            f"replaced ({error}); embed into a folder of your own"
        ) from error
    return Features.open(features.folder)


def _same(known: Array | None, now: Array) -> bool:
    return known is not None and bool(np.array_equal(known, now))


def _check(
    dtype: object,
    weights: object,
    executor: object,
    num_workers: object,
    n_workers: object,
    n_threads: object,
) -> None:
    for what, value, known in (
        ("dtype", dtype, get_args(DType)),
        ("source of weights", weights, WEIGHTS),
        ("executor", executor, get_args(Executor)),
    ):
        if not isinstance(value, str) or value not in known:
            raise unknown_name(what, value, known)
    PROCESSES.check("num_workers", num_workers)
    for what, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        WORKERS.or_none().check(what, value)


def _check_for_ray(
    executor: Executor,
    n_workers: int | None,
    n_threads: int | None,
    n_gpus: float | None,
    address: str | None,
) -> None:
    given = (n_workers, n_threads, n_gpus, address)
    if executor != "ray" and any(value is not None for value in given):
        raise InputError(
            "n_workers, n_threads, n_gpus and address are for the executor 'ray'; choose it, or "
            "leave them out"
        )
    if n_gpus is not None and (n_gpus < 0 or (n_gpus > 1 and n_gpus != int(n_gpus))):
        raise InputError(f"n_gpus must be a fraction of a GPU or a whole number, not {n_gpus}")


class Embedder:
    """Computes the features of any blocks of a dataset.

    Parameters
    ----------
    samples : Samples
        Images.
    backbone : Backbone
    device : torch.device
        Where the backbone goes.
    skipped : ndarray of int64
        Samples that have no features, ascending, in whose place others are read.
    """

    def __init__(
        self,
        samples: Samples,
        backbone: Backbone,
        device: torch.device,
        skipped: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.samples = samples
        self.skipped = np.zeros(0, dtype=np.int64) if skipped is None else skipped
        self.backbone = backbone
        self.device = device
        self.form: Form | None = None
        if not samples.is_held:
            self.form = self._images().form_for(backbone.fitting_for)

    def _images(self) -> ImageTensors:
        return ImageTensors(self.samples, self.device, any_range=self.backbone.any_range)

    def n_features(self) -> int:
        """Count the features, by those of one sample."""
        ((_, features),) = self.blocks([(0, slice(0, 1))])
        return int(features.shape[1])

    def blocks(self, spans: Sequence[tuple[int, slice]]) -> Iterator[tuple[int, Array]]:
        """Compute the features of blocks of samples, one after the other.

        Parameters
        ----------
        spans : sequence of (int, slice)
            Number of a block, and its samples; ascending.

        Yields
        ------
        block : int
        features : ndarray of shape (rows, d), float32

        Raises
        ------
        FormChangedError
            If an image does not fit the form of those before: compute all anew in its form.
        """
        self.backbone.to(self.device)
        is_fitted = self.form is not None and self.form.fitting is not None
        # A GPU computes a block while the one before is on its way here.
        n_ahead = 1 if self.device.type == "cuda" else 0
        waiting: deque[tuple[int, slice, Tensor]] = deque()
        batches = self._batches([span for _, span in spans])
        for block, span in spans:
            parts = []
            for _ in range(-(-_length(span) // ROWS_PER_FORWARD)):
                images = next(batches)
                # Entered for each: whoever takes a block is not to compute in these modes.
                with torch.inference_mode(), deterministic_kernels():
                    parts.append(self.backbone(images, is_fitted).float())
            waiting.append((block, span, torch.cat(parts)))
            if len(waiting) > n_ahead:
                yield self._on_host(*waiting.popleft())
        while waiting:
            yield self._on_host(*waiting.popleft())

    def _on_host(self, block: int, span: slice, features: Tensor) -> tuple[int, Array]:
        rows = features.cpu().numpy()
        first, last = np.searchsorted(self.skipped, [span.start, span.stop])
        if first < last:
            rows = rows.copy()
            rows[self.skipped[first:last] - span.start] = np.nan
        return block, rows

    def _batches(self, spans: Sequence[slice]) -> Iterator[Tensor]:
        images = self._images()
        if self.form is None:
            return (
                images[slice(start, min(start + ROWS_PER_FORWARD, span.stop))]
                for span in spans
                for start in range(span.start, span.stop, ROWS_PER_FORWARD)
            )
        # Only the last block of all is no multiple of a batch, so batches end where blocks do.
        indices = np.concatenate([np.arange(span.start, span.stop) for span in spans]).tolist()
        decoded = images.decoded(self.form, indices=indices)
        # Processes decode ahead by themselves, and a dataset of others may not bear a thread.
        on_thread = reads_files(self.samples.dataset)
        return ahead(decoded, BATCHES_AHEAD) if on_thread else decoded


def ahead(items: Iterator[Item], n_ahead: int) -> Iterator[Item]:
    """Make items on a thread, a few before they are asked for."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, _END) for _ in range(n_ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


_END: Any = object()


def _length(span: slice) -> int:
    return int(span.stop - span.start)
