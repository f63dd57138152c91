"""What scores configurations: a function of the user's, or a class that scores several at once."""

from __future__ import annotations

import abc
import hashlib
import inspect
import json
import math
import textwrap
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, ClassVar

from joblib import wrap_non_picklable_objects

from proxysample.agreement.data import rows_of
from proxysample.checks import check_call, has_attributes
from proxysample.digests import as_plain, named_values, text_of
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.printing import shown


class Evaluator(abc.ABC):
    """Trains configurations on a part of the training data and scores them on held-out data.

    Attributes
    ----------
    noun : str
        Of the class: what its configurations are called in tables, such as ``"cell"``.
    keeps_checkpoint : bool
        Of the class: whether `score` also takes ``checkpoint``, the path of a file that it writes
        between its steps and goes on from; None where nothing is kept.
    """

    noun: ClassVar[str] = "configuration"
    keeps_checkpoint: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def specification(self) -> dict[str, Any]:
        """What decides a score besides data, configuration and seed, as plain JSON values."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Say in one sentence how a configuration is scored, for a report."""

    def name_of(self, configuration: Any) -> str:
        """Name a configuration, by what decides its score."""
        named = as_plain(configuration, f"the configuration {configuration!r:.60}")
        return named if isinstance(named, str) else json.dumps(named, sort_keys=True)

    def together(self, configurations: Sequence[Any]) -> list[list[Any]]:
        """Say which configurations are scored in one experiment; by default each alone.

        The groups, one after another, are the configurations in their order.
        """
        return [[one] for one in configurations]

    def check_passes(self) -> None:  # noqa: B027  # most can
        """Raise `InputError` where it cannot make more than one pass as often."""

    def prepare(self, train: Any, held_out: Any) -> Any:
        """Read the data once a process, into whatever `score` takes; by default as they are."""
        return train, held_out

    @abc.abstractmethod
    def score(
        self, configurations: Sequence[Any], data: Any, kept: IntArray, *, seed: int, passes: float
    ) -> list[float]:
        """Train on some samples and score on the held-out ones.

        Parameters
        ----------
        configurations : sequence
            One of what `together` gave.
        data : object
            What `prepare` gave.
        kept : ndarray of int64
            The training samples to use.
        seed : int
            Of all that is drawn.
        passes : float
            How many times the usual number of passes to make over these samples: 1, or as many
            as make the same number of updates as on the full data.

        Returns
        -------
        list of float
            One for each configuration; higher is better.
        """


_CALLED_WITH = ("configuration", "train", "held_out")


class FunctionEvaluator(Evaluator):
    """Scores configurations one by one, with a function.

    Parameters
    ----------
    function : callable
        Called as ``function(configuration, train, held_out, seed=...)``, and with ``passes=`` too
        where it has such a parameter. It returns a number; higher is better.
    name : str, optional
        What results are named by, together with the function's source.

    Raises
    ------
    InputError
        If it is neither a function nor given a name.
    """

    def __init__(self, function: Callable[..., float], name: str | None = None) -> None:
        if not callable(function):
            raise InputError(f"evaluate must be a function, not {shown(function)}")
        if name is not None and (not isinstance(name, str) or not name):
            raise InputError(f"name must be a text or None, not {shown(name)}")
        self.function = function
        own = function.__name__ if has_attributes(function, "__name__") else None
        self.name = name or own or type(function).__name__
        self._source = name if name is not None else _source_of(function)
        try:
            self.takes_passes = "passes" in inspect.signature(function).parameters
        # Of some that are not written in Python, or of anyone's object, nobody knows.
        except Exception:
            self.takes_passes = False
        more = {"passes": 1.0} if self.takes_passes else {}
        check_call(self.name, function, _CALLED_WITH, {"seed": 0} | more)

    def __getstate__(self) -> dict[str, Any]:
        # A function of a notebook or a script cannot be imported elsewhere: it travels with its
        # code.
        function = wrap_non_picklable_objects(self.function, keep_wrapper=False)
        return vars(self) | {"function": function}

    @property
    def specification(self) -> dict[str, Any]:
        """Its name, and a digest of its source: results of another version do not mix."""
        return {
            "function": self.name,
            "source": hashlib.sha256(self._source.encode()).hexdigest()[:16],
        }

    def describe(self) -> str:
        """Name the function."""
        return f"Every configuration was trained and scored by the function {self.name}."

    def check_passes(self) -> None:
        """Raise `InputError` where the function has no parameter ``passes``."""
        if not self.takes_passes:
            raise InputError(
                f"{self.name} has no parameter passes, by which it would train as many steps on "
                "a proxy as on the full data; add one, or leave budgets at 'epochs'"
            )

    def score(
        self, configurations: Sequence[Any], data: Any, kept: IntArray, *, seed: int, passes: float
    ) -> list[float]:
        """Call the function once for each."""
        train, held_out = data
        more = {"passes": passes} if self.takes_passes else {}
        part = rows_of(train, kept)
        return [
            self._number(self.function(one, part, held_out, seed=seed, **more))
            for one in configurations
        ]

    def _number(self, given: Any) -> float:
        try:
            score = float(given)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise InputError(
                f"{self.name} must return a finite number, its score, not {shown(given)}"
            )
        return score


def as_evaluator(given: Any) -> Evaluator:
    """Take an evaluator as it is, and make one of a function."""
    return given if isinstance(given, Evaluator) else FunctionEvaluator(given)


def _source_of(function: Any) -> str:
    """Give what a function's results are named by: its text, and the values that it closes over."""
    written = text_of(function)
    if written is None:
        code = function.__code__ if has_attributes(function, "__code__") else None
        text = _compiled(code, function)
    else:
        text = textwrap.dedent(written)
    return "\n".join([text, *named_values(function)])


def _compiled(code: Any, function: Any) -> str:
    if not isinstance(code, CodeType):
        raise InputError(
            f"the source of {shown(function)} cannot be read, and results are named by it: give "
            "FunctionEvaluator(function, name=...) a name, and another one after every change"
        )
    parts = [code.co_code.hex(), *code.co_names, *code.co_varnames]
    for one in code.co_consts:
        parts.append(_compiled(one, function) if isinstance(one, CodeType) else repr(one))
    return "\n".join(parts)
