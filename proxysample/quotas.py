"""How much of each class to keep, by weights: those that a user gives, or by need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array, is_number
from proxysample.errors import InputError, unknown_name
from proxysample.keeping import IntArray
from proxysample.printing import shown

# A class of no weight comes after all others; shares are allocated in integers.
SCALE = 1_000_000


def _plain(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if labels.dtype.kind == "O" and all(isinstance(one, str) for one in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise InputError(f"labels are of type {labels.dtype}; needed: all numbers or all texts")
    return labels


@dataclass(frozen=True, eq=False)
class ClassWeights:
    """Shares of classes in proportion to weights: a value of ``balance=``.

    Each class is kept in proportion to its weight, to within one sample, until it is used up; the
    others go on among themselves. Kept sets nest.

    Parameters
    ----------
    weights : mapping of class to float
        Of every class of the dataset, at least 0 and one of them more; 0 keeps samples of a class
        when all others are used up.

    Examples
    --------
    >>> from proxysample import Ranking
    >>> from proxysample.data.classes import Classes
    >>> classes = Classes(("cat", "dog"), np.array([0, 0, 0, 0, 1, 1]))
    >>> ranking = Ranking(np.arange(6.0), classes=classes)
    >>> ranking.select(n=4, balance=ClassWeights({"cat": 3, "dog": 1})).tolist()
    [0, 1, 2, 4]
    """

    weights: Mapping[Any, float]

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise InputError(
                f"weights are by class, such as {{'cat': 2}}, not {shown(self.weights)}"
            )
        for name, weight in self.weights.items():
            if not is_number(weight) or weight < 0:
                raise InputError(
                    f"the weight of class {shown(name)} must be a finite number of at least 0, not "
                    f"{shown(weight)}"
                )
        if not any(self.weights.values()):
            raise InputError("all classes have the weight 0; give at least one more")

    @classmethod
    def from_recall(cls, recall: Mapping[Any, float]) -> ClassWeights:
        """Weigh classes by need: by the share of their samples that a model gets wrong.

        That are the quotas of A. Vysogorets, K. Ahuja and J. Kempe, DRoP: distributionally robust
        data pruning, ICLR 2025, who draw at random within a class; any order may stand within it
        here.

        Parameters
        ----------
        recall : mapping of class to float
            Of samples that the model was not trained on, in [0, 1], for every class.

        Returns
        -------
        ClassWeights
            ``1 - recall``; as much of each class where all are recalled wholly.

        Examples
        --------
        >>> ClassWeights.from_recall({"cat": 0.75, "dog": 0.5}).weights
        {'cat': 0.25, 'dog': 0.5}
        """
        if not isinstance(recall, Mapping) or not recall:
            raise InputError(f"recall is by class, such as {{'cat': 0.9}}, not {shown(recall)}")
        for name, value in recall.items():
            if not is_number(value) or not 0 <= value <= 1:
                raise InputError(
                    f"the recall of class {shown(name)} must be in [0, 1], not {shown(value)}"
                )
        needs = {name: 1 - float(value) for name, value in recall.items()}
        return cls(needs if any(needs.values()) else dict.fromkeys(recall, 1.0))

    @classmethod
    def from_predictions(cls, labels: Any, predictions: Any) -> ClassWeights:
        """Weigh classes by need, as `from_recall`, from what a model says of held-out samples.

        Parameters
        ----------
        labels, predictions : array-like of shape (n,)
            Classes of samples that the model was not trained on, and what it takes them for.

        Returns
        -------
        ClassWeights

        Examples
        --------
        >>> ClassWeights.from_predictions(["a", "a", "b"], ["a", "b", "b"]).weights
        {'a': 0.5, 'b': 0.0}
        """
        true, found = (
            _plain(as_array(what, given))
            for what, given in (("labels", labels), ("predictions", predictions))
        )
        if true.ndim != 1 or true.shape != found.shape or not len(true):
            raise InputError(
                f"labels of shape {true.shape} and predictions of shape {found.shape}; needed: one "
                "of each a sample"
            )
        right: npt.NDArray[np.bool_] = true == found
        return cls.from_recall(
            {name.item(): float(right[true == name].mean()) for name in np.unique(true)}
        )

    def of_classes(self, names: Sequence[str]) -> IntArray:
        """Give the weights by class code, as integers of at least 1."""
        given = {str(name): float(weight) for name, weight in self.weights.items()}
        for name in given:
            if name not in names:
                raise unknown_name("class in balance", name, names)
        missing = [name for name in names if name not in given]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise InputError(f"balance has no weight for class {missing[0]!r}{more}; give all")
        weights = np.array([given[name] for name in names])
        scaled: IntArray = np.round(weights / weights.max() * SCALE).astype(np.int64)
        return scaled.clip(1)

    def to_json(self) -> dict[str, dict[str, float]]:
        """Write as plain JSON values."""
        return {"weights": {str(name): float(weight) for name, weight in self.weights.items()}}

    def __str__(self) -> str:
        return ", ".join(f"{name}={weight:g}" for name, weight in self.weights.items())
