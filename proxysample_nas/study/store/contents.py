"""What a store's rows have to be, whoever has written them."""

from __future__ import annotations

from typing import Any

from proxysample.errors import InputError
from proxysample.records import (
    AMOUNT,
    COUNT,
    MAPPING,
    NUMBER,
    PERCENT,
    POSITIVE,
    TEXT,
    Kind,
    check_values,
    list_of,
    one_of,
    optional,
)
from proxysample_nas.training.evaluation import TrainingRun

# Process numbers are given from 1 on; no system's are larger.
PROCESS = Kind("a process's number", lambda value: POSITIVE.accepts(value) and value < 1 << 31)
BYTES = Kind("bytes", lambda value: isinstance(value, bytes))

STATE = {"key": TEXT, "status": one_of("done", "failed"), "finished": AMOUNT}
RECORD = STATE | {
    "kind": one_of("selection", "search", "training", "lookup"),
    "payload": optional(BYTES),
    "error": optional(TEXT),
    "traceback": optional(TEXT),
}
RUNNER = {
    "id": TEXT,
    "host": TEXT,
    "pid": PROCESS,
    "machine": TEXT,
    "process": TEXT,
    "n_workers": POSITIVE,
    "started": AMOUNT,
    "heartbeat": AMOUNT,
}
CLAIM = {"key": TEXT, "runner": TEXT, "since": AMOUNT}

SPECIFICATION = {"parameters": MAPPING, "data": TEXT, "r": NUMBER}
RESULTS: dict[str, dict[str, Kind]] = {
    "selection": {"seconds": AMOUNT},
    "search": {
        "cell": TEXT,
        "seconds": AMOUNT,
        "n_kept": POSITIVE,
        "facts": MAPPING,
        "machine": MAPPING,
        "history": list_of(MAPPING),
    },
    "training": TrainingRun.kinds() | {"n_train": POSITIVE, "machine": MAPPING},
    "lookup": {"cell": TEXT, "accuracy": PERCENT},
}
# Of each kind the values that lie deeper, and that reports state.
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
MACHINE = {
    "processor": TEXT,
    "n_cores": optional(COUNT),
    "n_threads": COUNT,
    "n_side_by_side": COUNT,
    "device": TEXT,
    "torch": TEXT,
    "numpy": TEXT,
}


def check_row(row: tuple[Any, ...], kinds: dict[str, Kind], where: str) -> None:
    """Check a row whose columns stand in the order of their kinds.

    Parameters
    ----------
    row : tuple
    kinds : dict of str to Kind
        One a column.
    where : str
        What the row is of, for messages.

    Raises
    ------
    InputError
        If a value is of another kind.

    Examples
    --------
    >>> check_row(("1f", "b0", "noon"), CLAIM, "a claim")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a claim is damaged: its since is 'noon', not a number of at least 0
    """  # noqa: E501
    check_values(dict(zip(kinds, row, strict=True)), kinds, where)


def check_result(kind: str, result: Any, where: str) -> None:
    """Check the values of a result; one that is missing is told of where it is needed.

    Parameters
    ----------
    kind : str
        The experiment's.
    result : object
        What JSON gave.
    where : str
        What holds it, for messages.

    Raises
    ------
    InputError
        If a value is of another type or cannot be.
    """
    check_values(result, RESULTS[kind], where)
    check_values(result.get("machine", {}), MACHINE, where)
    if kind == "search":
        facts = result.get("facts", {})
        check_values(facts, SEARCH_FACTS, where)
        check_values(facts.get("parameters", {}), SEARCH_PARAMETERS, where)


def check_outcome(status: str, result: Any, where: str) -> None:
    """Check that what is done has a result, and what failed has none."""
    if (status == "done") != bool(result):
        has = "a" if result else "no"
        raise InputError(f"{where} is damaged: it is {status}, and has {has} result")
