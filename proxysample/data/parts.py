"""What readers of a dataset's files hand over: images and labels of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError


@dataclass(frozen=True, eq=False)
class Part:
    """Images and their labels.

    Attributes
    ----------
    images : ndarray of shape (n, h, w, c)
    labels : ndarray of shape (n,), int64 or str; or None
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None

    @classmethod
    def of_planes(cls, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any]) -> Part:
        """Turn rows of red, then green, then blue pixels into square images.

        Parameters
        ----------
        pixels : ndarray of shape (n, 3 * size * size), uint8
            Each colour row by row.
        labels : ndarray of shape (n,)

        Returns
        -------
        Part
            With new images, of shape (n, size, size, 3), and labels as int64.

        Examples
        --------
        >>> pixels = np.arange(12, dtype=np.uint8)[np.newaxis]
        >>> Part.of_planes(pixels, np.array([7])).images[0, 0].tolist()
        [[0, 4, 8], [1, 5, 9]]
        """
        size = round((pixels.shape[1] / 3) ** 0.5)
        planes = pixels.reshape(len(pixels), 3, size, size)
        # A copy in C's order, whatever the order of the rows is.
        return cls(planes.transpose(0, 2, 3, 1).copy(order="C"), labels.astype(np.int64))

    @classmethod
    def joined(cls, parts: list[Part]) -> Part:
        """Put labelled parts one after the other."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts if part.labels is not None]),
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """Training and test part.

    Attributes
    ----------
    train : Part
    read_test : callable or None
        Gives the test part, which is read for those who ask for it.
    classes : list of str or None
        Names of the integer labels.
    """

    train: Part
    read_test: Callable[[], Part] | None
    classes: list[str] | None = None

    @property
    def test(self) -> Part | None:
        """The test part, read anew."""
        return None if self.read_test is None else self.read_test()


def check_label_range(labels: npt.NDArray[Any], known: range, name: str) -> None:
    """Check that integer labels are among those that a dataset has.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
    known : range
    name : str
        Of the file, for messages.

    Raises
    ------
    InputError
        If one is not.

    Examples
    --------
    >>> check_label_range(np.array([0, 10]), range(10), "test_batch")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: test_batch: labels run from 0 to 10, and should from 0 to 9
    """
    if len(labels) and not (known[0] <= labels.min() and labels.max() <= known[-1]):
        raise InputError(
            f"{name}: labels run from {labels.min()} to {labels.max()}, and should from "
            f"{known[0]} to {known[-1]}"
        )
