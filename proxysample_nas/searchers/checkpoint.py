"""Keep a search on disk: one safetensors file, replaced as a whole after every epoch."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from proxysample.errors import InputError
from proxysample.files import make_folder, refusals_explained, remove_whole
from proxysample.records import UNWRITTEN, Count, Record, read_json
from proxysample_nas.searchers.result import EpochRecord, check_operations
from proxysample_nas.searchers.selection import Selection

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
        See `proxysample_nas.searchers.resumption.Resumable`.
    selection : Selection or None
        The choice of the final cell, once it is made.
    """

    seed: Count
    parameters: dict[str, Any]
    data_digest: str
    history: tuple[EpochRecord, ...]
    tensors: dict[str, Tensor] = field(metadata=UNWRITTEN)
    selection: Selection | None = None

    def save(self, path: Path) -> None:
        """Write the file, so that at any moment the old or the new one is there, whole.

        Parameters
        ----------
        path : Path
            Its folder is created where it is missing.

        Raises
        ------
        InputError
            If it cannot be written, as on a full disk; the old file stays.
        """
        make_folder(path.parent)
        # A folder, since the library writes beside its file first, under a name that it draws:
        # in the open, what a killed process has left of that would stay for ever.
        part = path.with_name(f"{path.name}.part")
        written = part / path.name
        try:
            with refusals_explained(path):
                remove_whole(part)
                part.mkdir()
                save_file(
                    {name: tensor.contiguous() for name, tensor in self.tensors.items()},
                    written,
                    metadata={"format": FORMAT, "search": json.dumps(self.to_dict())},
                )
                with written.open("rb+") as file:
                    os.fsync(file.fileno())
                written.replace(path)
        except SafetensorError as error:
            # The library turns what the system answers into its own error.
            raise InputError(f"{path} cannot be written: {error}") from error
        finally:
            # Where nothing can be written nothing was, and the reason has been told.
            with suppress(OSError):
                remove_whole(part)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Parameters
        ----------
        path : Path

        Returns
        -------
        Checkpoint
            With its tensors on the CPU.

        Raises
        ------
        InputError
            If the file is no checkpoint of a search.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise InputError(
                f"{path} is not a checkpoint that can be read ({error}); {ANEW}"
            ) from error
        if metadata.get("format") != FORMAT:
            raise InputError(
                f"{path} is not a checkpoint of a search ({FORMAT!r}), but of "
                f"{metadata.get('format')!r}; pass another path"
            )
        try:
            described = read_json(metadata.get("search", ""), str(path))
            checkpoint = cls.from_dict(described, tensors=tensors)
            check_operations(checkpoint.parameters, checkpoint.history, checkpoint.selection)
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
