"""Studies by name."""

from __future__ import annotations

from typing import Any

from proxysample.errors import unknown_name
from proxysample_nas.study.configuration import StudyConfiguration

PRESETS: dict[str, dict[str, Any]] = {
    "digits": {
        "dataset": "digits",
        "samplers": ("rs", "km-or:n_clusters=50", "cc-rs", "cc-or"),
        "searchers": (
            "darts-v1:n_nodes=4,channels=8,cells_per_stage=1,epochs=20,"
            "learning_rate=0.05,architecture_learning_rate=0.01",
        ),
        "ratios": (0.5, 0.25),
        "channels": (8,),
        "recipe": "nas-bench-201",
        "training": {"epochs": 10, "batch_size": 64, "cells_per_stage": 1},
        # A mirrored digit is another sign, or none.
        "augmentation": {"flip": False},
    },
    "cifar100-tiny": {
        "dataset": "npz:.data/cifar100.npz",
        "n_train": 2000,
        "samplers": ("rs", "km-or", "cc-rs", "cc-or"),
        "searchers": ("darts-v1:channels=4,cells_per_stage=1,epochs=1",),
        "ratios": (0.5, 0.25),
        "channels": (4,),
        "recipe": "nas-bench-201",
        "training": {"epochs": 1, "batch_size": 64, "cells_per_stage": 1},
    },
}
"""Settings of each preset. ``digits`` takes minutes on two cores: the search is far shorter than
the paper's 50 epochs of many steps, so its architecture learns faster. ``cifar100-tiny`` shows in
a minute or two that real CIFAR-100 runs through; its accuracies mean nothing."""


def preset(name: str, **overrides: Any) -> StudyConfiguration:
    """Create a study's configuration by name.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    **overrides
        Settings of `StudyConfiguration.build` that win.

    Returns
    -------
    StudyConfiguration

    Raises
    ------
    InputError
        If the name or a setting is unknown.

    Examples
    --------
    >>> preset("digits", ratios=(0.1,)).ratios
    (0.1,)
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return StudyConfiguration.build(**(PRESETS[name] | overrides))
