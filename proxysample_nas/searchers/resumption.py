"""Begin a search or go on with one, and keep it on disk as it proceeds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from proxysample.errors import InputError
from proxysample_nas.searchers.checkpoint import ANEW, Checkpoint
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.searchers.seeds import resolve_seed
from proxysample_nas.searchers.selection import Selection


class Resumable(Protocol):
    """All that changes while a search runs."""

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names."""

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected."""


class Resumption:
    """What is known of a search before it begins, and the file it is kept in.

    Parameters
    ----------
    path : path or None
        Where the search is kept; None keeps nothing.
    parameters : dict
        The searcher's id and parameters, as JSON values.
    random_state : int or None
        The searcher's; the seed in the file wins, since only that one goes on.

    Attributes
    ----------
    seed : int
        Of the search.
    selection : Selection or None
        The choice of the final cell, where the file has it.

    Raises
    ------
    InputError
        If the file is no checkpoint of a search.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        parameters: dict[str, Any],
        random_state: int | None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.parameters = parameters
        exists = self.path is not None and self.path.exists()
        self._saved = Checkpoint.load(self.path) if self.path is not None and exists else None
        self.seed = resolve_seed(random_state) if self._saved is None else self._saved.seed
        self.selection = None if self._saved is None else self._saved.selection
        self._digest = ""

    def restore(self, state: Resumable, data: SearchData) -> list[EpochRecord]:
        """Bring a state to where the file left it.

        Parameters
        ----------
        state : Resumable
            Just created; changed in place where there is a file.
        data : SearchData

        Returns
        -------
        list of EpochRecord
            The epochs that are done.

        Raises
        ------
        InputError
            If the file belongs to a search with other parameters or data, or is damaged.
        """
        if self.path is None:
            return []
        self._digest = data.digest()
        if self._saved is None:
            return []
        self._saved.check_same_search(self.path, self.parameters, self._digest)
        self._load_tensors(state, self._saved)
        return list(self._saved.history)

    def _load_tensors(self, state: Resumable, saved: Checkpoint) -> None:
        try:
            state.load_tensors(saved.tensors)
        # What torch and Python say of tensors that are missing, or of another shape or type.
        except (RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.path} lacks parts of the search, or they are damaged ({error}); {ANEW}"
            ) from error

    def keep(
        self, state: Resumable, history: list[EpochRecord], selection: Selection | None = None
    ) -> None:
        """Write the file, if there is to be one, after an epoch or the final choice.

        Parameters
        ----------
        state : Resumable
        history : list of EpochRecord
            The epochs that are done.
        selection : Selection, optional
            The choice of the final cell, once it is made.
        """
        if self.path is not None:
            Checkpoint(
                self.seed,
                self.parameters,
                self._digest,
                tuple(history),
                state.to_tensors(),
                selection,
            ).save(self.path)
