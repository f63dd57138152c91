"""What the file of a search's result has to hold, value by value."""

from __future__ import annotations

from typing import Any

from proxysample.errors import InputError
from proxysample.plain_values import (
    AMOUNT,
    COUNT,
    MAPPING,
    MEASURE,
    NUMBER,
    TEXT,
    check_values,
    list_of,
    mapping_to,
    optional,
    require_values,
)
from proxysample_nas.space.cell import OPERATIONS

EPOCH = {
    "epoch": COUNT,
    "cell": TEXT,
    "architecture_weights": list_of(list_of(NUMBER, len(OPERATIONS))),
    "learning_rate": NUMBER,
    "train_loss": MEASURE,
    "train_accuracy": MEASURE,
    "architecture_loss": optional(MEASURE),
    "architecture_accuracy": MEASURE,
    "seconds": AMOUNT,
}
DETAILS = {"details": mapping_to(MEASURE)}
FACTS = {
    "searcher": TEXT,
    "parameters": MAPPING,
    "seed": COUNT,
    "n_weight_samples": COUNT,
    "n_architecture_samples": COUNT,
    "architecture_source": TEXT,
    "n_classes": COUNT,
    "image_shape": list_of(COUNT, 3),
    "steps_per_epoch": COUNT,
    "device": TEXT,
}
RESULT = {"history": list_of(MAPPING), "facts": MAPPING}


def check_epoch(values: Any) -> None:
    """Check the record of an epoch; `InputError` where a value is missing or of another type."""
    require_values(values, EPOCH, "the record of an epoch")
    check_values(values, DETAILS, "the record of an epoch")


def check_facts(values: Any) -> None:
    """Check a search's facts; `InputError` where a value is missing or of another type."""
    require_values(values, FACTS, "what is said of a search")
    check_values(values, {"stopped_early": optional(TEXT)}, "what is said of a search")


def check_result(values: Any) -> None:
    """Check what a result consists of; `InputError` where a part is missing or of another type."""
    require_values(values, RESULT, "the result of a search")
    check_values(values, {"selection": optional(MAPPING)}, "the result of a search")
    if not values["history"] and values.get("selection") is None:
        raise InputError("the result of a search is damaged: it has neither an epoch nor a cell")
