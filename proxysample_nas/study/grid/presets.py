"""Studies by name."""

from __future__ import annotations

from typing import Any

from proxysample.errors import check_name, check_names
from proxysample_nas.study.grid.configuration import StudyConfiguration

# A search far shorter than the paper's needs larger steps to decide anything.
_SHORT_SEARCH = "n_nodes=4,channels=8,cells_per_stage=1"
_SHORT_DARTS = f"{_SHORT_SEARCH},learning_rate=0.05,architecture_learning_rate=0.01"

_DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "channels": (8,),
    "recipe": "nas-bench-201",
    # A mirrored digit is another sign, or none.
    "augmentation": {"flip": False},
}

PRESETS: dict[str, dict[str, Any]] = {
    "digits-demo": _DIGITS
    | {
        "samplers": ("rs", "km-or:n_clusters=50", "cc-rs", "cc-or"),
        "searchers": (f"darts-v1:{_SHORT_DARTS},epochs=20",),
        "ratios": (0.5, 0.25),
        "training": {"epochs": 10, "batch_size": 64, "cells_per_stage": 1},
    },
    "digits": _DIGITS
    | {
        "samplers": ("rs", "km-or:n_clusters=50", "ae", "cc-rs", "cc-or", "tl"),
        "searchers": (
            f"darts-v1:{_SHORT_DARTS},epochs=8",
            f"darts-v2:{_SHORT_DARTS},epochs=8",
            f"enas:{_SHORT_SEARCH},epochs=8,controller_updates=10,n_candidates=20",
            f"gdas:{_SHORT_DARTS},epochs=12",
        ),
        "ratios": (0.75, 0.5, 0.25),
        "training": {"epochs": 5, "batch_size": 64, "cells_per_stage": 1},
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
    "cifar100-small": {
        "dataset": "cifar100:.data",
        "samplers": ("rs", "ae", "cc-or", "tl"),
        "searchers": ("darts-v1:cells_per_stage=1,epochs=10", "gdas:cells_per_stage=1,epochs=20"),
        "ratios": (0.5, 0.25),
        "channels": (16,),
        "seeds": (777, 888),
        "recipe": "nas-bench-201",
        "training": {"epochs": 12, "cells_per_stage": 1},
    },
    "paper": {
        "dataset": "cifar100:.data",
        "samplers": (
            "rs",
            *(f"km-or:n_clusters={k},protocol=paper" for k in (50, 100, 150, 200)),
            *(f"ae:protocol=paper,keep={keep}" for keep in ("easy", "hard")),
            "cc-rs",
            "cc-or:protocol=paper",
            *(
                f"tl:backbone=resnet18.tv_in1k,protocol=paper,keep={keep}"
                for keep in ("easy", "hard")
            ),
        ),
        "searchers": tuple(
            f"{searcher}:protocol=paper" for searcher in ("darts-v1", "darts-v2", "enas", "gdas")
        ),
        "ratios": (0.75, 0.5, 0.25),
        "channels": (16, 32, 64),
        "recipe": "paper",
        "architecture_data": "test-half",
        "transfers": (
            {"dataset": "imagenet16-120:.data/ImageNet16", "recipe": "paper-imagenet16-120"},
        ),
    },
}
"""Settings of each preset.

``digits-demo`` and ``digits`` take minutes on two cores: searches are far shorter than the
paper's, so learning rates are higher and networks smaller. ``digits`` has all six samplers and
four searchers. ``cifar100-tiny`` shows that everything runs on the real data, and no more.
``cifar100-small`` is sized for an hour on one GPU. ``paper`` is the whole study in its authors'
protocol; ``study run --dry-run`` tells what it would cost on the device at hand.
"""


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
    check_name("preset", name, PRESETS)
    check_names("setting of a study", overrides, StudyConfiguration.__dataclass_fields__)
    return StudyConfiguration.build(**(PRESETS[name] | overrides))
