"""What tells a kept set's worth: a model that is trained on it and held to other samples."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import CodeType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from joblib import wrap_non_picklable_objects

from proxysample.checks import (
    Constraints,
    as_array,
    check_call,
    check_values,
    constraints_of,
    has_attributes,
)
from proxysample.comparison.parts import Budget, IntArray, KeptSet, Part, Schedule
from proxysample.digests import as_plain, digest_of, named_values, text_of
from proxysample.errors import InputError, check_names
from proxysample.printing import shown
from proxysample.registry import EVALUATORS
from proxysample.wording import parse_words

EvaluatorFunction = Callable[[Part, Part, int, Budget], Any]
"""``evaluator(train, held_out, seed, budget)``: the classes that a model trained on the kept
samples predicts for those held out, as codes like ``train.y``; or its accuracy, from 0 to 1."""

# Fields that say where a model runs, not what comes of it.
EXECUTION = frozenset({"device"})


@dataclass(frozen=True)
class Found:
    """What one training came to.

    Attributes
    ----------
    accuracy : float
        Of the samples held out, from 0 to 1.
    predicted : ndarray of shape (n,), int64, or None
        Their classes as predicted; None where only the accuracy is known.
    """

    accuracy: float
    predicted: IntArray | None = None

    @classmethod
    def of_predictions(cls, predicted: IntArray, labels: IntArray) -> Found:
        """Compare predicted class codes with the true ones."""
        found, true = as_array("predicted", predicted), as_array("labels", labels)
        if found.shape != true.shape or found.ndim != 1 or not len(found):
            raise InputError(
                f"predicted has shape {found.shape}, and labels {true.shape}; needed: one code of "
                "each a sample"
            )
        if found.dtype.kind not in "iu" or true.dtype.kind not in "iu":
            raise InputError("predicted and labels must be codes of classes, integers")
        return cls(float((found == true).mean()), found)


class Evaluator(abc.ABC):
    """Trains a model on kept samples and says how well it does on others.

    A subclass is a frozen dataclass whose fields are its parameters.

    Attributes
    ----------
    id : str
        Of the class: what it is called in words such as ``"head:epochs=10"``.
    uses_features : bool
        Of the class: whether features are made where none are given.
    follows_schedules : bool
        Of the class: whether it can train on other samples each epoch, as RS2 has it.
    is_quick : bool
        Of the class: whether more draws of what is random than seeds cost little.
    """

    id: ClassVar[str]
    uses_features: ClassVar[bool] = False
    follows_schedules: ClassVar[bool] = False
    is_quick: ClassVar[bool] = False
    _constraints: ClassVar[Constraints] = {}

    @abc.abstractmethod
    def prepare(self, train: Part, held_out: Part) -> Any:
        """Make ready, once a process, what all trainings share.

        Parameters
        ----------
        train, held_out : Part
            The whole training part, and what models are held to.

        Returns
        -------
        object
            What `evaluate` takes.
        """

    @abc.abstractmethod
    def evaluate(self, prepared: Any, schedule: Schedule, seed: int, budget: Budget) -> Found:
        """Train on what a schedule gives, and predict.

        Parameters
        ----------
        prepared : object
            From `prepare`.
        schedule : KeptSet or RandomSchedule
            Indices into the training part.
        seed : int
            Of whatever the training draws.
        budget : Budget

        Returns
        -------
        Found
        """

    @property
    def name(self) -> str:
        """What results are named by, beside the parameters."""
        return self.id

    def parameters(self) -> dict[str, Any]:
        """Give what decides a result, as plain JSON values."""
        return {
            name: as_plain(value, f"{name} of {self.name}")
            for name, value in self._fields().items()
            if name not in EXECUTION
        }

    def check(self) -> None:
        """Raise `InputError` for a parameter that cannot work."""
        check_values(self._fields(), constraints_of(type(self)))

    def _fields(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]

    def describe(self) -> str:
        """Say in words what is trained, for reports."""
        words = ", ".join(f"{name}={value}" for name, value in self.parameters().items())
        return f"{self.name} ({words})" if words else self.name


@dataclass(frozen=True)
class OwnEvaluator(Evaluator):
    """Calls a function of the user's; see `EvaluatorFunction`.

    It is named by its name and its text, so that results of another text are not taken for its
    own. It gets fixed sets only, so RS2 is left out.
    """

    function: EvaluatorFunction
    id: ClassVar[str] = "own"

    def __getstate__(self) -> dict[str, Any]:
        # One that a notebook or a function defines cannot be imported elsewhere.
        return {"function": wrap_non_picklable_objects(self.function, keep_wrapper=False)}

    @property
    def name(self) -> str:
        """The function's own name."""
        known = (name for name in ("id", "__name__") if has_attributes(self.function, name))
        given = [one for one in (getattr(self.function, name) for name in known) if one]
        return str(given[0] if given else type(self.function).__name__)

    def parameters(self) -> dict[str, Any]:
        """Name the function by its text; an object by its `id` and fields."""
        if has_attributes(self.function, "id") and isinstance(self.function.id, str):  # type: ignore[attr-defined]
            kept = vars(self.function) if hasattr(self.function, "__dict__") else {}
            return {name: as_plain(value, f"{name} of {self.name}") for name, value in kept.items()}
        text = text_of(self.function)
        enclosed = named_values(self.function)
        if text is not None:
            # Of most there are none, and their results keep their names.
            return {"text": digest_of([], text, *enclosed)}
        code = self.function.__code__ if has_attributes(self.function, "__code__") else None
        if code is None:
            raise InputError(
                f"the evaluator {self.name} has no text that could name its results: make it a "
                "function, or give it an attribute id, and fields for all that its results depend "
                "on"
            )
        # Typed at a prompt, so that what it was compiled to is all there is.
        return {"code": digest_of([], *_words_of(code), *enclosed)}

    def check(self) -> None:
        """Have the function name itself, and take what it is called with."""
        self.parameters()
        check_call(self.name, self.function, ("train", "held_out", "seed", "budget"))

    def prepare(self, train: Part, held_out: Part) -> tuple[Part, Part]:
        """Hand on the parts."""
        return train, held_out

    def evaluate(
        self, prepared: tuple[Part, Part], schedule: Schedule, seed: int, budget: Budget
    ) -> Found:
        """Call the function, and check what it gives."""
        assert isinstance(schedule, KeptSet)
        train, held_out = prepared
        given = self.function(train.take(schedule.indices), held_out, seed, budget)
        return as_found(given, held_out, self.name)

    def describe(self) -> str:
        """Give its name."""
        return f"{self.name}, a function of the user's"


def _words_of(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words_of(constant)
        else:
            yield repr(constant)


def as_found(given: Any, held_out: Part, name: str) -> Found:
    """Read what an evaluator's function gives; `InputError` where it is neither of the two.

    Examples
    --------
    >>> part = Part(np.zeros((2, 1)), np.array([0, 1]), 2)
    >>> as_found([0, 0], part, "mine").accuracy, as_found(0.25, part, "mine").accuracy
    (0.5, 0.25)
    >>> as_found(93.5, part, "mine")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: the evaluator mine gives 93.5; needed: predicted class codes for
    the 2 samples held out, or an accuracy from 0 to 1
    """
    values = _as_numbers(given)
    if values is not None and values.ndim == 0 and 0 <= float(values) <= 1:
        return Found(float(values))
    if values is not None and values.shape == (len(held_out),) and (values == values.round()).all():
        return Found.of_predictions(values.astype(np.int64), held_out.y)
    raise InputError(
        f"the evaluator {name} gives {shown(given)}; needed: predicted class codes for the "
        f"{len(held_out):,} samples held out, or an accuracy from 0 to 1"
    )


def _as_numbers(given: Any) -> npt.NDArray[Any] | None:
    try:
        values = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    # Whatever a function of the user's gives.
    except Exception:
        return None
    is_number = values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
    return values if is_number else None


def as_evaluator(given: Any) -> Evaluator:
    """Make an evaluator of what a user gives.

    Parameters
    ----------
    given : str, mapping, Evaluator or callable
        ``"head"``, ``"head:epochs=10"``, what a store holds of one, or a function; see
        `EvaluatorFunction`.

    Raises
    ------
    InputError
        If it is none, or a parameter cannot be used.

    Examples
    --------
    >>> as_evaluator("head:epochs=10").epochs
    10
    """
    if isinstance(given, str):
        name, _, words = given.partition(":")
        evaluator = _create(name, parse_words(words))
    elif isinstance(given, Mapping):
        evaluator = _create(given["name"], given["parameters"])
    elif isinstance(given, Evaluator):
        evaluator = given
    elif callable(given) and not isinstance(given, type):
        evaluator = OwnEvaluator(given)
    else:
        raise InputError(
            f"evaluator must be one of {', '.join(EVALUATORS)}, or a function (train, held_out, "
            f"seed, budget), not {shown(given)}"
        )
    evaluator.check()
    return evaluator


def _create(name: str, parameters: Mapping[str, Any]) -> Evaluator:
    kind = EVALUATORS.get(name)
    check_names(f"parameter of {name}", parameters, [one.name for one in fields(kind)])  # type: ignore[arg-type]
    return kind(**parameters)
