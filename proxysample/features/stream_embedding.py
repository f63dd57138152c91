"""Features of a dataset that can only be read from its beginning: one pass, then a store."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from proxysample.data.decoding import COLOUR_CHANNELS
from proxysample.data.fields import Broken, Fields, check_broken
from proxysample.data.images import Fitting, fitted, repeated_grey
from proxysample.data.streams import Stream, StreamNames, check_stream
from proxysample.data.whole import tell_of_broken
from proxysample.device import copy_to_device, deterministic_kernels
from proxysample.errors import InputError, SampleError, reason_of
from proxysample.features.backbones import Backbone
from proxysample.features.batches import (
    ROWS_PER_BLOCK,
    ROWS_PER_FORWARD,
    as_fractions,
    check_kind,
    check_unit_range,
)
from proxysample.features.identity import BROKEN, add_to_digest, backbone_identity
from proxysample.features.store import FORMAT, RECORD, DType, Features, key_of
from proxysample.features.store_writer import StorePlan, StoreWriter, as_type, claimed
from proxysample.files import make_folder, refusals_explained

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Sizes:
    """How the images of a stream come to the size that the network takes.

    Attributes
    ----------
    fitting : Fitting or None
        None leaves them as they are, to the network.
    shape : tuple of int or None
        Height and width that all have where they are left as they are.
    """

    fitting: Fitting | None
    shape: tuple[int, int] | None


class StreamEmbedder:
    """Computes the features of a stream as its samples come, and keeps them when it has ended.

    Parameters
    ----------
    source : iterable
    fields : Fields
    broken : {"stop", "skip"}
        Of samples that do not decode; a stream that raises is at its end, and always stops.
    backbone : Backbone
    device : torch.device
    """

    def __init__(
        self,
        source: Iterable[Any],
        fields: Fields,
        broken: Broken,
        backbone: Backbone,
        device: torch.device,
    ) -> None:
        check_stream(source)
        self._stream = Stream(source, fields)
        self._broken = check_broken(broken)
        self._backbone = backbone
        self._device = device
        self._names = StreamNames()
        self._digest = sha256()
        self._skipped: dict[int, str] = {}
        self._sizes: _Sizes | None = None
        self._n_features: int | None = None

    def embed(self, folder: Path, backbone: object, dtype: DType, progress: bool) -> Features:
        """Read the stream to its end, and make a store of it; see `proxysample.embed`.

        Nothing names the stream before it has been read, so that features wait in a file
        without a name, which is gone with the process.
        """
        started = time.perf_counter()
        make_folder(folder)
        self._backbone.to(self._device)
        with refusals_explained(folder), tempfile.TemporaryFile(dir=folder) as file:
            self._write_features(file, dtype, progress)
            made_of = {
                "dataset": {
                    "n_samples": len(self._names.labels),
                    "pixels": self._digest.hexdigest()[:16],
                },
                **backbone_identity(self._backbone, backbone),
                "dtype": dtype,
            }
            store = folder / key_of(made_of)
            make_folder(store)
            with claimed(store, is_told=progress):
                if (store / RECORD).is_file():
                    return Features.open(store)
                return self._finished(file, store, made_of, dtype, started)

    def _write_features(self, file: IO[bytes], dtype: DType, progress: bool) -> None:
        with closing(self._stream.items(progress, "embedding")) as items:
            for start, features in self._batches(items):
                file.write(as_type(features, dtype, start, self._skipped).tobytes())
        if not self._names.labels:
            raise InputError("the stream is empty")
        if self._skipped:
            keys = self._names.keys
            tell_of_broken(self._skipped, len(keys), keys.__getitem__)
        file.flush()

    def _finished(
        self,
        file: IO[bytes],
        store: Path,
        made_of: dict[str, Any],
        dtype: DType,
        started: float,
    ) -> Features:
        n_features = self._n_features or 0
        n_samples = len(self._names.labels)
        rows = np.memmap(file, dtype=dtype, mode="r", shape=(n_samples, n_features))
        made_by = {"device": self._device.type, "form": repr(self._sizes)}
        plan = StorePlan(FORMAT, store.name, n_samples, n_features, dtype, ROWS_PER_BLOCK, made_by)
        with StoreWriter(store, plan, self._skipped) as writer:
            for block in writer.missing:
                writer.write(block, np.asarray(rows[plan.rows_of(block)]))
            provenance = {
                "device": self._device.type,
                "seconds": round(time.perf_counter() - started, 3),
                "samples_taken_over": 0,
                "weights_from": self._backbone.weights,
                **({"samples_skipped": len(self._skipped)} if self._skipped else {}),
            }
            return writer.finish(made_of, provenance, self._labels(), self._names.keys_or_none())

    def _labels(self) -> Array | None:
        try:
            return self._names.labels_or_none()
        except InputError:
            # Masks, boxes or several labels a sample, which features can do without.
            return None

    def _batches(self, items: Iterable[Any]) -> Iterator[tuple[int, Array]]:
        start = 0
        while batch := list(islice(self._decoded(items), ROWS_PER_FORWARD)):
            yield start, self._features(batch, start)
            start += len(batch)

    def _decoded(self, items: Iterable[Any]) -> Iterator[Array | None]:
        """Give the pixels of each sample; None of those that are skipped."""
        for read in items:
            try:
                item = read.decoded()
                check_kind((1, *item.pixels.shape), item.pixels.dtype)
                if item.pixels.dtype.kind == "f" and not np.isfinite(item.pixels).all():
                    raise SampleError(read.index, " holds NaN or infinite pixels")
            except InputError as error:
                if self._broken == "stop":
                    raise
                self._skipped[read.index] = reason_of(error)
                self._names.add(read.label, read.key)
                add_to_digest(self._digest, BROKEN)
                yield None
                continue
            self._names.add(item.label, item.key)
            add_to_digest(self._digest, item.pixels)
            yield item.pixels

    def _features(self, batch: list[Array | None], start: int) -> Array:
        known = {start + place: pixels for place, pixels in enumerate(batch) if pixels is not None}
        if not known and self._n_features is None:
            raise InputError(f"none of the first {len(batch)} samples can be read")
        computed = self._computed(known) if known else np.zeros((0, 0), dtype=np.float32)
        if self._n_features is None:
            self._n_features = computed.shape[1]
        rows = np.full((len(batch), self._n_features), np.nan, dtype=np.float32)
        rows[[index - start for index in known]] = computed if known else 0
        return rows

    def _computed(self, known: dict[int, Array]) -> Array:
        if self._sizes is None:
            self._sizes = self._sizes_for([pixels.shape[:2] for pixels in known.values()])
        fitting = self._sizes.fitting
        n_channels = max(pixels.shape[-1] for pixels in known.values())
        tensors = []
        for index, pixels in known.items():
            if fitting is None and pixels.shape[:2] != self._sizes.shape:
                height, width = self._sizes.shape or (0, 0)
                raise SampleError(
                    index,
                    f" is {pixels.shape[1]}x{len(pixels)}, and those before it {width}x{height}; "
                    "pass input_size=, so that all come to one size",
                )
            if pixels.dtype.kind == "f" and not self._backbone.any_range:
                check_unit_range(pixels[np.newaxis], index)
            if {pixels.shape[-1], n_channels} == set(COLOUR_CHANNELS):
                pixels = repeated_grey(pixels, n_channels)
            if pixels.shape[-1] != n_channels:
                raise SampleError(
                    index,
                    f" has {pixels.shape[-1]} channels, and others {n_channels}; give all as many, "
                    "such as by image.convert('RGB')",
                )
            sized = pixels if fitting is None else fitted(pixels, fitting)
            tensor = torch.from_numpy(np.array(sized[np.newaxis]))
            tensors.append(as_fractions(copy_to_device(tensor, self._device)))
        with torch.inference_mode(), deterministic_kernels():
            features: Array = (
                self._backbone(torch.cat(tensors), fitting is not None).float().cpu().numpy()
            )
        return features

    def _sizes_for(self, sizes: list[tuple[int, ...]]) -> _Sizes:
        """Tell by the first batch how images come to a size, as it is told of a dataset by all."""
        if len(set(sizes)) > 1:
            fitting = self._backbone.fitting_for(None)
            if fitting is None:
                raise InputError("images are of several sizes; pass input_size=")
            return _Sizes(fitting, None)
        height, width = sizes[0]
        target = self._backbone.fitting_for((height, width))
        is_smaller = target is not None and min(target.resized(height, width)) < min(height, width)
        if is_smaller or self._backbone.input_size is not None:
            return _Sizes(target or self._backbone.fitting_for(None), None)
        return _Sizes(None, (height, width))
