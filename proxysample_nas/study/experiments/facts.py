"""What a study's store holds of the data, so that a report needs the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from proxysample.records import REQUIRED, Positive, Record, one_of

WHERE = "what the store knows of the data"


@dataclass(frozen=True)
class DatasetFacts(Record, title=WHERE):
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
    n_train: Positive
    n_test: Positive
    n_classes: Positive
    image_shape: tuple[Positive, Positive, Positive]
    split: Annotated[str, one_of("test", "test half")]


@dataclass(frozen=True)
class StudyFacts(Record, title=WHERE):
    """What is known of everything that a study reads.

    Attributes
    ----------
    datasets : mapping of str to DatasetFacts
        The study's dataset and those of its transfers, by name.
    lookup_fingerprint : str or None
        Of the file of published accuracies.

    Examples
    --------
    >>> facts = StudyFacts({"digits": DatasetFacts("ab", 100, 360, 10, (8, 8, 1), "test")})
    >>> StudyFacts.from_json(facts.to_json()) == facts
    True
    """

    datasets: Mapping[str, DatasetFacts]
    lookup_fingerprint: Annotated[str | None, REQUIRED] = None
