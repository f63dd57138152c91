"""Passes over a dataset's items that keep no pixels: for labels, and for what is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from proxysample.data.decoding import decode_item, from_workers
from proxysample.data.image_files import holds_files, on_threads
from proxysample.errors import InputError, SampleError, reason_of
from proxysample.isolation import isolate_worker
from proxysample.printing import hides_progress

if TYPE_CHECKING:
    from proxysample.data.fields import Pairs


def read_labels_of(pairs: Pairs, **options: Any) -> list[Any]:
    """Read the label of every item.

    Parameters
    ----------
    pairs : Pairs
    **options
        ``batch_size``, ``num_workers`` and ``progress``; see `Samples`.

    Returns
    -------
    list
        None or `Unsure` where an item has none.

    Raises
    ------
    InputError
        If an item cannot be read.
    """
    labels = []
    for index, (error, label) in enumerate(_scan(pairs, _read_label, "reading labels", **options)):
        if error is not None:
            raise SampleError(
                index,
                f" cannot be read for its label: {error}; repair it, leave it out with "
                "broken='skip', or pass the labels as y=",
            )
        labels.append(label)
    return labels


def find_broken(pairs: Pairs, *, pixels: bool, **options: Any) -> tuple[dict[int, str], list[Any]]:
    """Find the items that cannot be read.

    Parameters
    ----------
    pairs : Pairs
    pixels : bool
        Whether an item without an image, or with NaN in it, is broken, too.
    **options
        See `read_labels_of`.

    Returns
    -------
    broken : dict of int to str
        What is wrong, by index.
    labels : list
        Those of the other items.
    """
    read = _read_whole if pixels else _read_label
    broken: dict[int, str] = {}
    labels = []
    for index, (error, label) in enumerate(_scan(pairs, read, "looking for damage", **options)):
        if error is None:
            labels.append(label)
        else:
            broken[index] = error
    return broken, labels


def _read_label(pairs: Pairs, index: int) -> Any:
    return pairs.label(index)


def _read_whole(pairs: Pairs, index: int) -> Any:
    image, label = decode_item(pairs[index], index)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("it holds NaN or infinite pixels")
    return label


class _Scanned:
    """What is wrong with each item, and its label; never raises."""

    def __init__(self, pairs: Pairs, read: Callable[[Pairs, int], Any]) -> None:
        self.pairs = pairs
        self.read = read

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[str | None, Any]:
        try:
            return None, self.read(self.pairs, index)
        except InputError as error:
            # What to do about it was said by `broken`.
            return reason_of(error), None
        # Whatever a dataset of anyone's raises, for want of a whole file or of anything else.
        except Exception as error:
            return f"{type(error).__name__}: {error}", None


def _scan(
    pairs: Pairs,
    read: Callable[[Pairs, int], Any],
    what: str,
    *,
    batch_size: int,
    num_workers: int,
    progress: bool,
) -> Iterator[tuple[str | None, Any]]:
    from tqdm import tqdm

    scanned = _Scanned(pairs, read)
    with tqdm(total=len(pairs), desc=what, unit="image", disable=hides_progress(progress)) as bar:
        for result in _loaded(scanned, batch_size, num_workers):
            yield result
            bar.update()


def _loaded(
    scanned: _Scanned, batch_size: int, num_workers: int
) -> Iterator[tuple[str | None, Any]]:
    if not num_workers:
        read = partial(_Scanned.__getitem__, scanned)
        indices = range(len(scanned))
        of_files = holds_files(scanned.pairs.dataset)
        yield from on_threads(read, indices) if of_files else map(read, indices)
        return
    import torch
    from torch.utils.data import DataLoader

    loader: DataLoader[Any] = DataLoader(
        scanned,  # type: ignore[arg-type]
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=list,
        # Without one of its own, a DataLoader draws its seed from the global generator.
        generator=torch.Generator(),
        worker_init_fn=isolate_worker,
    )
    for batch in from_workers(loader):
        yield from batch
