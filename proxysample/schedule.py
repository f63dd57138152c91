"""A part of the samples that changes with each epoch: what a fixed proxy dataset competes with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch.utils.data

from proxysample.checks import COUNT, POSITIVE_INTEGER, SEED
from proxysample.errors import InputError
from proxysample.keeping import IntArray, check_count, check_ratio, n_kept
from proxysample.printing import shown


class RandomSchedule(torch.utils.data.Sampler[int]):
    """Draw another part of the samples in each epoch, until all have been used (RS2).

    For the ``sampler=`` of a DataLoader: an epoch costs what one of a kept set costs, and no sample
    comes again before all others have come (repeated sampling of random subsets, P. Okanovic and
    others, ICLR 2024). The schedule is decided by the seed alone.

    Parameters
    ----------
    data : int or sized object
        Number of samples, or a dataset.
    r : float, optional
        Fraction of the samples in an epoch, in (0, 1].
    n : int, optional
        Number of samples in an epoch, in place of `r`.
    seed : int
        Of the draws.

    Attributes
    ----------
    epoch : int
        The one that is iterated next. Iterating to the end goes on to the next one; one that was
        broken off comes again.

    Examples
    --------
    >>> schedule = RandomSchedule(6, n=4, seed=0)
    >>> list(schedule), list(schedule), list(schedule)
    ([3, 2, 5, 4], [0, 1, 4, 3], [1, 0, 2, 5])
    >>> schedule.set_epoch(1)
    >>> list(schedule)
    [0, 1, 4, 3]
    """

    def __init__(
        self, data: Any, r: float | None = None, *, n: int | None = None, seed: int = 0
    ) -> None:
        try:
            n_samples = len(data) if hasattr(data, "__len__") else data
        # Whatever anyone's object raises: it may have no axes.
        except Exception as error:
            raise InputError(f"data have no length: {shown(data)} ({error})") from error
        POSITIVE_INTEGER.check("the number of samples", n_samples)
        SEED.check("seed", seed)
        if (r is None) == (n is None):
            raise InputError("give r, the fraction of samples in an epoch, or n, their number")
        self.n_samples = int(n_samples)
        self.n = check_count(n) if r is None else n_kept(self.n_samples, check_ratio(r))
        if self.n > self.n_samples:
            raise InputError(f"n={self.n:,} is more than the {self.n_samples:,} samples there are")
        self.seed = int(seed)
        self.epoch = 0
        self._round, self._order = 0, self._shuffled(0)

    def __repr__(self) -> str:
        return (
            f"RandomSchedule({self.n:,} of {self.n_samples:,} samples an epoch, seed {self.seed}, "
            f"next epoch {self.epoch})"
        )

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        epoch = self.epoch
        yield from self.indices(epoch).tolist()
        self.epoch = epoch + 1

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is iterated next, counted from 0."""
        COUNT.check("epoch", epoch)
        self.epoch = int(epoch)

    def indices(self, epoch: int) -> IntArray:
        """Give the samples of an epoch, in the order in which they come.

        Parameters
        ----------
        epoch : int
            Counted from 0. Going back costs as much as coming from the beginning.

        Returns
        -------
        ndarray of shape (n,), int64
            Each once.
        """
        COUNT.check("epoch", epoch)
        number, start = divmod(int(epoch) * self.n, self.n_samples)
        self._go_to(number)
        found = self._order[start : start + self.n]
        if len(found) == self.n:
            return found.copy()
        self._go_to(number + 1)
        return np.concatenate([found, self._order[: self.n - len(found)]])

    def _go_to(self, number: int) -> None:
        """Shuffle as often as all samples have been used."""
        if number < self._round:
            self._round, self._order = 0, self._shuffled(0)
        while self._round < number:
            self._round += 1
            left = -(self._round * self.n_samples) % self.n
            self._order = self._following(left)

    def _following(self, missing: int) -> IntArray:
        """Shuffle anew; an epoch that began before takes no sample twice."""
        order = self._shuffled(self._round)
        n_before = self.n - missing if missing else 0
        is_before = np.isin(order, self._order[len(order) - n_before :])
        first = order[~is_before][:missing]
        return np.concatenate([first, order[~np.isin(order, first)]])

    def _shuffled(self, number: int) -> IntArray:
        try:
            return np.random.default_rng([self.seed, number]).permutation(self.n_samples)
        except (MemoryError, ValueError):
            raise InputError(f"there is no memory for an order of {self.n_samples:,}") from None

    def state_dict(self) -> dict[str, int]:
        """Give what a checkpoint has to hold; best taken between two epochs.

        Returns
        -------
        dict
        """
        return {
            "epoch": self.epoch,
            "seed": self.seed,
            "n": self.n,
            "n_samples": self.n_samples,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Parameters
        ----------
        state : mapping

        Raises
        ------
        InputError
            If it is of another schedule.
        """
        if not isinstance(state, Mapping):
            raise InputError(f"this is no state of a RandomSchedule: {shown(state)}")
        for name, own in self.state_dict().items():
            if name not in state:
                raise InputError(f"this is no state of a RandomSchedule: {name} is missing")
            if name != "epoch" and not (type(state[name]) is type(own) and state[name] == own):
                raise InputError(
                    f"the state is of a schedule with {name}={shown(state[name])}, and this one "
                    f"has {own}"
                )
        self.set_epoch(state["epoch"])
