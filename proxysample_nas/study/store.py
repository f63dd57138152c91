"""A study's store: what the results of its experiments have to hold."""

from __future__ import annotations

from pathlib import Path

from proxysample.experiments.experiment import MACHINE
from proxysample.experiments.store import Contents, Store
from proxysample.plain_values import (
    AMOUNT,
    COUNT,
    MAPPING,
    NUMBER,
    PERCENT,
    POSITIVE,
    TEXT,
    list_of,
    optional,
)
from proxysample_nas.training.evaluation import RUN

SPECIFICATION = {"parameters": MAPPING, "data": TEXT, "r": NUMBER}
SEARCH = {
    "cell": TEXT,
    "seconds": AMOUNT,
    "n_kept": POSITIVE,
    "facts": MAPPING,
    "machine": MAPPING,
    "history": list_of(MAPPING),
}
# Of a search the values that lie deeper, and that reports state.
SEARCH_FACTS = {
    "searcher": TEXT,
    "parameters": MAPPING,
    "n_weight_samples": COUNT,
    "n_architecture_samples": COUNT,
}
SEARCH_PARAMETERS = {
    "n_nodes": COUNT,
    "channels": COUNT,
    "cells_per_stage": COUNT,
    "epochs": COUNT,
    "batch_size": COUNT,
    "steps_per_epoch": optional(COUNT),
}
KINDS = {
    "selection": Contents({"seconds": AMOUNT}, SPECIFICATION),
    "search": Contents(
        SEARCH,
        SPECIFICATION,
        {"machine": MACHINE, "facts": SEARCH_FACTS, "facts.parameters": SEARCH_PARAMETERS},
    ),
    "training": Contents(
        RUN | {"n_train": POSITIVE, "machine": MAPPING}, SPECIFICATION, {"machine": MACHINE}
    ),
    "lookup": Contents({"cell": TEXT, "accuracy": PERCENT}, SPECIFICATION),
}


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
        super().__init__(path, KINDS, noun="study", must_exist=must_exist)


def store_path(folder: Path) -> Path:
    """Say where a study's folder keeps its store."""
    return folder / "study.sqlite"
