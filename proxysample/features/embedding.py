"""Features of a whole dataset, made once: decoded in workers, computed in blocks, kept on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from proxysample.checks import COUNT, POSITIVE_INTEGER
from proxysample.data.decoding import check_channels_last
from proxysample.data.reading import Samples, check_images, find_array
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError, unknown_name
from proxysample.features.backbones import (
    PACKAGED_BACKBONE,
    WEIGHTS,
    Backbone,
    Weights,
    as_backbone,
)
from proxysample.features.batches import ROWS_PER_FORWARD, ImageTensors
from proxysample.features.identity import backbone_identity, dataset_identity, keys_of, read_one
from proxysample.features.store import FORMAT, RECORD, Features, key_of, write_beside
from proxysample.features.store_writer import StorePlan, StoreWriter, claimed
from proxysample.files import make_folder

Array = npt.NDArray[Any]
DType = Literal["float32", "float16"]
Executor = Literal["in-process", "ray"]

# Samples whose features are kept together. A multiple of those that a network gets at a time, so
# that these are the same whichever blocks are computed, and wherever.
ROWS_PER_BLOCK = 4 * ROWS_PER_FORWARD

FORWARDS_AHEAD = 4


def embed(
    dataset: Any,
    y: Any = None,
    *,
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
    dataset : array, tensor or map-style dataset
        Images; see `proxysample.data.reading.Samples`. Labels do not change the features.
    y : array-like of shape (n,), optional
        Labels to be kept beside the features; those of the dataset by default, where they can be
        had without decoding an image.
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
    _check(dtype, weights, executor, num_workers, n_workers, n_threads)
    _check_for_ray(executor, n_workers, n_threads, n_gpus, address)
    samples = Samples(dataset, y)
    embedder = Embedder(
        samples, as_backbone(backbone, weights, input_size), resolve_device(device), num_workers
    )
    made_of = {
        "dataset": dataset_identity(samples),
        **backbone_identity(embedder.backbone, backbone),
        "dtype": dtype,
    }
    key = key_of(made_of)
    store = Path(folder).expanduser() / key
    if not (store / RECORD).is_file():
        n_features = embedder.n_features()
        make_folder(store)
        with claimed(store, is_told=progress):
            # Another process may have made it meanwhile.
            if not (store / RECORD).is_file():
                plan = StorePlan(
                    FORMAT, key, len(samples), n_features, dtype, ROWS_PER_BLOCK, embedder.kind
                )
                options = {"n_workers": n_workers, "n_threads": n_threads}
                options |= {"n_gpus": n_gpus, "address": address}
                return _made(
                    embedder, store, plan, made_of, progress, options if executor == "ray" else None
                )
    features = Features.open(store)
    return _with_labels(features, samples)


def _made(
    embedder: Embedder,
    store: Path,
    plan: StorePlan,
    made_of: dict[str, Any],
    progress: bool,
    on_ray: dict[str, Any] | None,
) -> Features:
    started = time.perf_counter()
    with StoreWriter(store, plan) as writer:
        missing = writer.missing
        blocks = _blocks_on_ray(embedder, plan, missing, on_ray) if on_ray else None
        if blocks is None:
            blocks = embedder.blocks([(block, plan.rows_of(block)) for block in missing])
        n_done = plan.n_samples - sum(_length(plan.rows_of(block)) for block in missing)
        with tqdm(
            total=plan.n_samples,
            initial=n_done,
            desc="embedding",
            unit="image",
            disable=not progress,
        ) as bar:
            for block, features in blocks:
                writer.write(block, features)
                bar.update(len(features))
        samples = embedder.samples
        provenance = {
            "device": plan.device,
            "executor": "ray" if on_ray else "in-process",
            "seconds": round(time.perf_counter() - started, 3),
            "samples_taken_over": n_done,
            "weights_from": embedder.backbone.weights,
        }
        return writer.finish(made_of, provenance, samples.cheap_labels, keys_of(samples.dataset))


def _with_labels(features: Features, samples: Samples) -> Features:
    """Have the labels beside features be those of the dataset at hand, which do not decide them."""
    labels, keys = samples.cheap_labels, keys_of(samples.dataset)
    new_labels = labels if labels is not None and not _same(features.labels, labels) else None
    new_keys = keys if keys is not None and not _same(features.keys, np.array(keys)) else None
    if new_labels is None and new_keys is None:
        return features
    write_beside(features.folder, new_labels, new_keys)
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
        if value not in known:
            raise unknown_name(what, str(value), known)
    COUNT.check("num_workers", num_workers)
    for what, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        POSITIVE_INTEGER.or_none().check(what, value)


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


def _blocks_on_ray(
    embedder: Embedder, plan: StorePlan, missing: list[int], options: dict[str, Any]
) -> Iterator[tuple[int, Array]]:
    from proxysample.features.ray_embedding import blocks_on_ray

    spans = [(block, plan.rows_of(block)) for block in missing]
    return blocks_on_ray(embedder, spans, **options)


class Embedder:
    """Computes the features of any blocks of a dataset.

    Parameters
    ----------
    samples : Samples
        Images.
    backbone : Backbone
    device : torch.device
        Where the backbone goes.
    num_workers : int
        Processes that decode.
    """

    def __init__(
        self, samples: Samples, backbone: Backbone, device: torch.device, num_workers: int = 0
    ) -> None:
        self.samples = samples
        self.backbone = backbone
        self.device = device
        self.num_workers = num_workers
        self._images = _images_of(samples)

    @property
    def kind(self) -> str:
        """The kind of device, which features follow in their last bits."""
        return self.device.type

    def n_features(self) -> int:
        """Count the features, by those of one sample."""
        ((_, features),) = self.blocks([(0, slice(0, 1))])
        return int(features.shape[1])

    def blocks(self, spans: Sequence[tuple[int, slice]]) -> Iterator[tuple[int, Array]]:
        """Compute the features of blocks of samples, one after the other.

        Parameters
        ----------
        spans : sequence of (int, slice)
            Number of a block, and its samples.

        Yields
        ------
        block : int
        features : ndarray of shape (rows, d), float32
        """
        self.backbone.to(self.device)
        waiting: tuple[int, Tensor] | None = None
        batches = self._images.batches(
            [rows for _, span in spans for rows in forwards(span)], self.device, self.num_workers
        )
        for block, span in spans:
            # Entered anew for each block: whoever takes one is not to compute in these modes.
            with torch.inference_mode(), deterministic_kernels():
                parts = [self.backbone(next(batches)).float() for _ in forwards(span)]
                features = torch.cat(parts)
            # A GPU computes a block while the one before is on its way here.
            if waiting is not None:
                yield waiting[0], waiting[1].cpu().numpy()
            waiting = block, features
        if waiting is not None:
            yield waiting[0], waiting[1].cpu().numpy()


def forwards(span: slice) -> list[slice]:
    """Divide the samples of a block into those that a network gets at a time."""
    starts = range(span.start, span.stop, ROWS_PER_FORWARD)
    return [slice(start, min(start + ROWS_PER_FORWARD, span.stop)) for start in starts]


def _length(span: slice) -> int:
    return int(span.stop - span.start)


def _images_of(samples: Samples) -> _HeldImages | _DecodedImages:
    held = find_array(samples.dataset) is not None
    return _HeldImages(samples) if held else _DecodedImages(samples)


class _HeldImages:
    """Images of a dataset that holds them in an array."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def batches(
        self, spans: Sequence[slice], device: torch.device, num_workers: int
    ) -> Iterator[Tensor]:
        del num_workers  # there is nothing to decode
        images = ImageTensors(self.samples, device)
        return (images[span] for span in spans)


class _DecodedImages(Dataset[Any]):
    """Images that are decoded when they are asked for, all in the form of the first."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.first = read_one(samples, 0)
        self.spans: Sequence[slice] = ()

    def batches(
        self, spans: Sequence[slice], device: torch.device, num_workers: int
    ) -> Iterator[Tensor]:
        self.spans = spans
        loader: DataLoader[Any] = DataLoader(
            self,
            batch_size=None,
            num_workers=min(num_workers, len(spans)),
            prefetch_factor=FORWARDS_AHEAD if num_workers else None,
            # Without one of its own, a DataLoader draws its seed from the global generator.
            generator=torch.Generator(),
        )
        for read in loader:
            # An error that a worker raises would come with the worker's stack in its message.
            if isinstance(read, InputError):
                raise read
            images = Samples(read.numpy())
            yield ImageTensors(images, device)[slice(0, len(images))]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, place: int) -> Tensor | InputError:
        span = self.spans[place]
        try:
            images = [self._checked(index) for index in range(span.start, span.stop)]
        except InputError as error:
            return error
        return torch.from_numpy(np.stack(images))

    def _checked(self, index: int) -> Array:
        image = read_one(self.samples, index)
        if image.shape != self.first.shape or image.dtype != self.first.dtype:
            raise InputError(
                f"sample {index} has shape {image.shape} and type {image.dtype}, sample 0 has "
                f"{self.first.shape} and {self.first.dtype}; bring all images to one size, mode "
                "and type in the dataset's transform"
            )
        if image.dtype.kind != "f":
            return image
        low, high = float(image.min()), float(image.max())
        if not 0 <= low <= high <= 1:
            raise InputError(
                f"sample {index} has pixels from {low:.3g} to {high:.3g}; floating-point images "
                "must lie in [0, 1]: leave Normalize out of the dataset's transform, or divide by "
                "255"
            )
        return image
