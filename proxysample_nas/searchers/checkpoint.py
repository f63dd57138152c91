"""Keep a search on disk: one safetensors file, replaced as a whole after every epoch."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from proxysample.errors import InputError
from proxysample.files import as_path, check_regular, make_folder, refusals_explained, remove_whole
from proxysample.records import UNWRITTEN, Count, Named, Record, read_json
from proxysample_nas.searchers.base import resolve_seed
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.result import EpochRecord, FinalChoice, check_operations

FORMAT = "proxysample-nas search 1"
ANEW = "delete it to start anew, or pass another path"


@dataclass(frozen=True)
class Checkpoint(Record, title="what it says"):
    """A search between two epochs.

    Attributes
    ----------
    seed : int
        What `random_state` came to.
    parameters : dict
        The searcher's id and parameters, as JSON values.
    data_digest : str
        Fingerprint of the data; see `SearchData.digest`.
    history : tuple of EpochRecord
        The epochs that are done.
    tensors : dict of Tensor
        See `proxysample_nas.searchers.checkpoint.Resumable`.
    final_choice : FinalChoice or None
        The choice of the final cell, once it is made.
    """

    seed: Count
    parameters: dict[str, Any]
    data_digest: str
    history: tuple[EpochRecord, ...]
    tensors: dict[str, Tensor] = field(metadata=UNWRITTEN)
    final_choice: Annotated[FinalChoice | None, Named("selection")] = None

    def save(self, path: Path) -> None:
        """Write the file, so that at any moment the old or the new one is there, whole.

        Parameters
        ----------
        path : Path
            Its folder is created where it is missing, and the one above is not: a study that was
            moved away leaves nothing in its old place.

        Raises
        ------
        InputError
            If it cannot be written, as on a full disk; the old file stays.
        """
        told = {"format": FORMAT, "search": json.dumps(self.to_dict())}
        save_tensors(path, self.tensors, told)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Returns
        -------
        Checkpoint
            With its tensors on the CPU.

        Raises
        ------
        InputError
            If the file is no checkpoint of a search.
        """
        metadata, tensors = load_tensors(path)
        if metadata.get("format") != FORMAT:
            raise InputError(
                f"{path} is not a checkpoint of a search ({FORMAT!r}), but of "
                f"{metadata.get('format')!r}; pass another path"
            )
        try:
            described = read_json(metadata.get("search", ""), str(path))
            checkpoint = cls.from_dict(described, tensors=tensors)
            check_operations(checkpoint.parameters, checkpoint.history, checkpoint.final_choice)
        except InputError as error:
            raise InputError(f"{path} is no whole checkpoint ({error}); {ANEW}") from error
        return checkpoint

    def check_same_search(self, path: Path, parameters: dict[str, Any], data_digest: str) -> None:
        """Refuse to go on with another search than the one that was begun.

        Parameters
        ----------
        path : Path
            Where the checkpoint lies, for the message.
        parameters : dict
            The searcher's id and parameters, as JSON values.
        data_digest : str
            Fingerprint of the data.

        Raises
        ------
        InputError
            Naming the parameters that differ, or saying that the data do.
        """
        differing = [
            f"{name}={parameters.get(name)!r} (checkpoint: {self.parameters.get(name)!r})"
            for name in sorted(parameters.keys() | self.parameters.keys())
            if parameters.get(name) != self.parameters.get(name)
        ]
        if not differing and data_digest != self.data_digest:
            differing = ["the data"]
        if differing:
            raise InputError(
                f"{path} belongs to another search; differing: {', '.join(differing)}. Go on with "
                "what it was begun with, or pass another path"
            )


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file, so that the old or the new one is there at any moment; see `Checkpoint`."""
    if not path.parent.parent.is_dir():
        raise InputError(
            f"the folder {path.parent.parent} does not exist; make it first, or name it as it "
            "is called now"
        )
    make_folder(path.parent)
    # A folder, since the library writes beside its file first, under a name that it draws:
    # in the open, what a killed process has left of that would stay for ever.
    part = path.with_name(f"{path.name}.part")
    written = part / path.name
    try:
        with refusals_explained(path), _only_writer(part):
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                written,
                metadata=metadata,
            )
            with written.open("rb+") as file:
                os.fsync(file.fileno())
            written.replace(path)
    except SafetensorError as error:
        # The library turns what the system answers into its own error.
        raise InputError(f"{path} cannot be written: {error}") from error


def load_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read metadata and tensors, onto the CPU; `InputError` if the file is none of that kind."""
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise InputError(
            f"{path} is not a checkpoint that can be read ({error}); {ANEW}"
        ) from error
    return metadata, tensors


@contextmanager
def _only_writer(part: Path) -> Iterator[None]:
    """Make a folder to write in, alone and empty; another that writes the same file waits."""
    handle = _claimed(part)
    try:
        for left in part.iterdir():
            remove_whole(left)
        yield
    finally:
        # Where nothing can be written nothing was, and the reason has been told.
        with suppress(OSError):
            remove_whole(part)
        os.close(handle)


def _claimed(part: Path) -> int:
    while True:
        if part.is_file() or part.is_symlink():
            part.unlink(missing_ok=True)
        # The one that wrote before may remove the folder at any moment: also between its being in
        # the way and the look at what is.
        with suppress(FileExistsError):
            part.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
            # The system's lock ends with the process, however it ends; not all disks have them.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(part.stat(), os.fstat(handle)):
                    return handle
            os.close(handle)


def read_progress(path: Path) -> tuple[dict[str, Any], tuple[EpochRecord, ...]]:
    """Read from a search's file what is searched and which epochs are done, and no tensors.

    Raises
    ------
    InputError
        If the file is missing, or no checkpoint of a search.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path} is not a checkpoint that can be read ({error})") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of a search")
    told = Checkpoint.from_dict(read_json(metadata.get("search", ""), str(path)), tensors={})
    check_operations(told.parameters, told.history, told.final_choice)
    return told.parameters, told.history


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
    final_choice : FinalChoice or None
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
        self.path = None if path is None else as_path(path)
        self.parameters = parameters
        exists = self.path is not None and self.path.exists()
        self._saved = Checkpoint.load(self.path) if self.path is not None and exists else None
        self.seed = resolve_seed(random_state) if self._saved is None else self._saved.seed
        self.final_choice = None if self._saved is None else self._saved.final_choice
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
        self, state: Resumable, history: list[EpochRecord], choice: FinalChoice | None = None
    ) -> None:
        """Write the file, if there is to be one, after an epoch or the final choice.

        Parameters
        ----------
        state : Resumable
        history : list of EpochRecord
            The epochs that are done.
        choice : FinalChoice, optional
            The choice of the final cell, once it is made.
        """
        if self.path is not None:
            Checkpoint(
                self.seed,
                self.parameters,
                self._digest,
                tuple(history),
                state.to_tensors(),
                choice,
            ).save(self.path)
