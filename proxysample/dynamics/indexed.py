"""A dataset whose items come with their indices, for loops that shuffle."""

from __future__ import annotations

from typing import Any


class IndexedDataset:
    """A map-style dataset as pairs of an index and an item; see `with_indices`."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> tuple[int, Any]:
        """Give ``(index, dataset[index])``; an index from the end is told as from the front."""
        place = int(index)
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"index {index} of {len(self)} samples")
        return place, self.dataset[place]


def with_indices(dataset: Any) -> IndexedDataset:
    """Wrap a dataset so that each item comes with its index, which `DynamicsRecorder` asks for.

    Parameters
    ----------
    dataset : map-style dataset
        Such as a torch Dataset; a DataLoader then gives ``indices, batch``.

    Returns
    -------
    IndexedDataset
        Of the same length, whose workers may be processes.

    Examples
    --------
    >>> with_indices(["a", "b"])[1]
    (1, 'b')
    """
    return IndexedDataset(dataset)
