"""What a study's store holds of the data, so that a report needs the store alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from proxysample.plain_values import (
    MAPPING,
    POSITIVE,
    TEXT,
    list_of,
    mapping_to,
    one_of,
    optional,
    read_json,
    require_values,
)

WHERE = "what the store knows of the data"
FACTS = {"datasets": mapping_to(MAPPING), "lookup_fingerprint": optional(TEXT)}
DATASET = {
    "fingerprint": TEXT,
    "n_train": POSITIVE,
    "n_test": POSITIVE,
    "n_classes": POSITIVE,
    "image_shape": list_of(POSITIVE, 3),
    "split": one_of("test", "test half"),
}


@dataclass(frozen=True)
class DatasetFacts:
    """What a report has to state about a dataset.

    Attributes
    ----------
    fingerprint : str
        Changes with any pixel or label.
    n_train, n_test : int
        Images that train, and that judge.
    n_classes : int
    image_shape : tuple of int
        Height, width and channels.
    split : {"test", "test half"}
        Whether cells are judged on the whole test part.
    """

    fingerprint: str
    n_train: int
    n_test: int
    n_classes: int
    image_shape: tuple[int, int, int]
    split: str


@dataclass(frozen=True)
class StudyFacts:
    """What is known of everything that a study reads.

    Attributes
    ----------
    datasets : mapping of str to DatasetFacts
        The study's dataset and those of its transfers, by name.
    lookup_fingerprint : str or None
        Of the file of published accuracies.
    """

    datasets: Mapping[str, DatasetFacts]
    lookup_fingerprint: str | None = None

    def to_json(self) -> str:
        """Write the facts as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; `InputError` where it is damaged.

        Examples
        --------
        >>> facts = StudyFacts({"digits": DatasetFacts("ab", 100, 360, 10, (8, 8, 1), "test")})
        >>> StudyFacts.from_json(facts.to_json()) == facts
        True
        """
        values = read_json(text, WHERE)
        require_values(values, FACTS, WHERE)
        for one in values["datasets"].values():
            require_values(one, DATASET, WHERE)
        return cls(
            {name: _dataset_facts(one) for name, one in values["datasets"].items()},
            values["lookup_fingerprint"],
        )


def _dataset_facts(values: Mapping[str, Any]) -> DatasetFacts:
    height, width, channels = values["image_shape"]
    own = {name: values[name] for name in DATASET}
    return DatasetFacts(**own | {"image_shape": (height, width, channels)})
