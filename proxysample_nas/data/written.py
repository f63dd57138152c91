"""Normalisations and augmentations among parameters, as objects and as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from proxysample.errors import InputError
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.data.normalization import Normalization


def to_written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write the objects among parameters as plain values.

    Examples
    --------
    >>> to_written({"epochs": 3, "augmentation": Augmentation(flip=False)})
    {'epochs': 3, 'augmentation': {'flip': False, 'crop_padding': None}}
    """
    return {
        name: asdict(value) if isinstance(value, Augmentation | Normalization) else value
        for name, value in parameters.items()
    }


def from_written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make objects of the plain values that stand for them; others stay as they are.

    Raises
    ------
    InputError
        If a mapping is no such object.

    Examples
    --------
    >>> from_written({"epochs": 3, "normalization": {"mean": [0.5], "std": [0.25]}})
    {'epochs': 3, 'normalization': Normalization(mean=(0.5,), std=(0.25,))}
    """
    made = dict(parameters)
    if isinstance(made.get("normalization"), Mapping):
        made["normalization"] = Normalization.from_dict(dict(made["normalization"]))
    if isinstance(made.get("augmentation"), Mapping):
        try:
            made["augmentation"] = Augmentation(**made["augmentation"])
        except TypeError as error:
            raise InputError(f"augmentation: {error}") from error
    return made
