"""A study's store: where it lies, and which kinds of experiment it keeps."""

from __future__ import annotations

from pathlib import Path

from proxysample.experiments.store import Store
from proxysample_nas.study.experiments import plan


class StudyStore(Store):
    """Finished experiments of a study; see `proxysample.experiments.store.Store`.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist, unless `must_exist`.
    must_exist : bool
        For reading: a missing file is an error.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.
    """

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        kinds = {kind.kind: kind.contents for kind in plan.KINDS}
        super().__init__(path, kinds, noun="study", must_exist=must_exist)


def store_path(folder: Path) -> Path:
    """Say where a study's folder keeps its store."""
    return folder / "study.sqlite"
