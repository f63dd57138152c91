"""What the value of a parameter must be, each thing said in one way; checked before any work.

A class lists its parameters beside what each must be:

    _constraints: ClassVar[Constraints] = {"epochs": POSITIVE_INTEGER, "device": DEVICE}

and its base reads that. NumPy's integers and floats count as Python's everywhere, truth values
nowhere as numbers.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from proxysample.device import DEVICE_TYPES
from proxysample.errors import InputError, unknown_name
from proxysample.printing import shown

H = TypeVar("H", bound=Hashable)

LARGEST_INTEGER = 2**63 - 1
"""What SQLite, NumPy and PyTorch hold."""


@dataclass(frozen=True)
class Constraint:
    """What a value must be.

    Attributes
    ----------
    words : tuple of str
        For messages; more than one where there is a choice, such as ``("True", "False")``.
    accepts : callable
        Tells of any value whether it is that.
    hint : str
        What to do about a value that is not, where the words do not say it.

    Examples
    --------
    >>> POSITIVE_INTEGER.check("epochs", 0)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: epochs must be a positive integer, not 0
    """

    words: tuple[str, ...]
    accepts: Callable[[Any], bool]
    hint: str = ""

    def check(self, name: str, value: object) -> None:
        """Raise `InputError` where the value of a parameter is something else."""
        if not self.accepts(value):
            raise self.error(name, value)

    def error(self, name: str, value: object) -> InputError:
        """Build the error for a value that is something else."""
        *others, last = self.words
        must = f"{', '.join(others)} or {last}" if others else last
        hint = f"; {self.hint}" if self.hint else ""
        return InputError(f"{name} must be {must}, not {shown(value)}{hint}")

    def or_none(self) -> Constraint:
        """Give the constraint of a value that may be None, too.

        Examples
        --------
        >>> BOOLEAN.or_none().check("nesterov", "no")
        Traceback (most recent call last):
        ...
        proxysample.errors.InputError: nesterov must be True, False or None, not 'no'
        """
        return replace(
            self,
            words=(*self.words, "None"),
            accepts=lambda value: value is None or self.accepts(value),
        )

    def with_hint(self, hint: str) -> Constraint:
        """Give the same constraint with an error that says what to do.

        Examples
        --------
        >>> POSITIVE.with_hint("the authors took 10").check("temperature", 0)
        Traceback (most recent call last):
        ...
        proxysample.errors.InputError: temperature must be a positive number, not 0; the authors
        took 10
        """
        return replace(self, hint=hint)


Constraints = Mapping[str, Constraint]


@dataclass(frozen=True)
class _Name(Constraint):
    """One of a few names; the error suggests the nearest."""

    kind: str = ""

    def error(self, name: str, value: object) -> InputError:  # noqa: ARG002
        return unknown_name(self.kind, value, self.words)


def one_of(kind: str, names: Iterable[str]) -> Constraint:
    """Give the constraint of a value that is one of a few names.

    Examples
    --------
    >>> one_of("protocol", ("default", "paper")).check("protocol", "papper")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown protocol 'papper'; did you mean 'paper'? Known: default,
    paper
    """
    known = tuple(names)
    return _Name(known, lambda value: isinstance(value, str) and value in known, kind=kind)


def is_integer(value: object) -> bool:
    """Tell whether a value is an integer, of Python or of NumPy."""
    # A length of time counts as one to NumPy.
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number, of Python or of NumPy."""
    if not is_integer(value) and not isinstance(value, float | np.floating):
        return False
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except OverflowError:
        return False


@dataclass(frozen=True)
class _Integer(Constraint):
    """An integer; of one that is too large the error says so."""

    most: int = LARGEST_INTEGER

    def error(self, name: str, value: object) -> InputError:
        if is_integer(value) and value > self.most:  # type: ignore[operator]
            return InputError(f"{name} must be at most {self.most:,}, not {shown(value)}")
        return super().error(name, value)


def integer_from(least: int, most: int = LARGEST_INTEGER) -> Constraint:
    """Give the constraint of an integer of at least, and at most, so much.

    Examples
    --------
    >>> integer_from(1, 4096).check("n_threads", 5000)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: n_threads must be at most 4,096, not 5000
    """
    words = "a positive integer" if least == 1 else f"an integer of at least {least}"
    return _Integer((words,), lambda value: is_integer(value) and least <= value <= most, most=most)


def instance_of(kind: type) -> Constraint:
    """Give the constraint of an object of a class.

    Examples
    --------
    >>> instance_of(OSError).or_none().check("cause", "flip")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: cause must be an OSError or None, not 'flip'
    """
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return Constraint((f"{article} {kind.__name__}",), lambda value: isinstance(value, kind))


# No generator has a state of more numbers of 32 bits than that.
MOST_SEEDS = 1 << 10


def _is_short(seed: Any) -> bool:
    """Tell whether a seed is read at once: NumPy takes hours for long ones."""
    if isinstance(seed, np.ndarray):
        return seed.size <= MOST_SEEDS
    if isinstance(seed, Sequence):
        # It follows lists within lists until the process ends.
        return len(seed) <= MOST_SEEDS and all(is_integer(one) and _is_short(one) for one in seed)
    return not isinstance(seed, int) or seed.bit_length() <= 32 * MOST_SEEDS


def _is_random_state(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        if not _is_short(value):
            return False
        np.random.default_rng(value)
    # Of what is none, or whatever the repr of anyone's object raises.
    except Exception:
        return False
    return True


def _is_device(value: object) -> bool:
    import torch

    if isinstance(value, str):
        if value == "auto":
            return True
        try:
            return torch.device(value).type in DEVICE_TYPES
        except RuntimeError:
            return False
    if isinstance(value, torch.device):
        return value.type in DEVICE_TYPES
    # A number counts the accelerators of a machine, of whatever kind they are there.
    return is_integer(value)


def _are_decay_rates(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(is_number(rate) and 0 <= rate < 1 for rate in value)
    )


POSITIVE_INTEGER = integer_from(1)
COUNT = integer_from(0)
# Processes, or threads of one: no machine has nearly as many cores.
MOST_AT_ONCE = 1 << 12
PROCESSES = integer_from(0, MOST_AT_ONCE)
WORKERS = integer_from(1, MOST_AT_ONCE)
MAPPING = Constraint(("a mapping",), lambda value: isinstance(value, Mapping))
NUMBER = Constraint(("a finite number",), is_number)
POSITIVE = Constraint(("a positive number",), lambda value: is_number(value) and value > 0)
NOT_NEGATIVE = Constraint(
    ("a finite number of at least 0",), lambda value: is_number(value) and value >= 0
)
FRACTION = Constraint(
    ("a number strictly between 0 and 1",), lambda value: is_number(value) and 0 < value < 1
)
DECAY_RATE = Constraint(
    ("a number from 0 to below 1",), lambda value: is_number(value) and 0 <= value < 1
)
DECAY_RATES = Constraint(("two numbers from 0 to below 1, such as (0.5, 0.999)",), _are_decay_rates)
BOOLEAN = Constraint(("True", "False"), lambda value: isinstance(value, bool))
"""Any text would count as true, "no" included."""
SEED = Constraint(
    ("an integer from 0 to below 2**63",),
    lambda value: is_integer(value) and 0 <= value <= LARGEST_INTEGER,
)
RANDOM_STATE = Constraint(
    ("an integer of at least 0", "a numpy Generator", "None"), _is_random_state
)
"""Of a sampler: what `numpy.random.default_rng` takes."""
DEVICE = Constraint(("'auto', 'cpu' or 'cuda', or such as 'cuda:1'",), _is_device)
"""Whether this machine has it is another question: a study may be set up, and its results read, on
a machine without the GPU that it runs on. `proxysample.device.resolve_device` answers that."""


def constraints_of(kind: type) -> dict[str, Constraint]:
    """Collect what the parameters of a class must be, those of its bases first."""
    found: dict[str, Constraint] = {}
    for base in reversed(kind.__mro__):
        found |= vars(base).get("_constraints", {})
    return found


def check_values(values: Mapping[str, object], constraints: Constraints) -> None:
    """Raise `InputError` for the first value that is not what it must be.

    Parameters
    ----------
    values : mapping of str to object
        Those that no constraint names are not looked at.
    constraints : mapping of str to Constraint
        Those of values that are missing are passed over.

    Examples
    --------
    >>> check_values({"flip": 1}, {"epochs": POSITIVE_INTEGER, "flip": BOOLEAN})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: flip must be True or False, not 1
    """
    for name, constraint in constraints.items():
        if name in values:
            constraint.check(name, values[name])


def plain_number(value: Any) -> Any:
    """Turn a number of NumPy into Python's, as JSON needs it; give anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


# So many entries no list of settings, names or numbers of anyone's has; generators may have no end.
MOST_LISTED = 1 << 24


def has_attributes(value: Any, *names: str) -> bool:
    """Tell whether a value has attributes, whatever anyone's class raises when it is asked."""
    try:
        return all(hasattr(value, name) for name in names)
    except Exception:
        return False


def check_call(
    name: str, function: Any, parameters: Sequence[str], keywords: Mapping[str, Any] | None = None
) -> None:
    """Refuse a function of a user's that does not take what it is to be called with.

    Examples
    --------
    >>> check_call("score", lambda held_out, train: 0.5, ("train", "held_out"))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: score is called as score(train, held_out), and its parameter
    held_out stands where train is
    """
    try:
        signature = inspect.signature(function)
    # Of some that are not written in Python, or of anyone's object, nobody knows.
    except Exception:
        return
    more = dict(keywords or {})
    words = ", ".join([*parameters, *(f"{one}=..." for one in more if one != "passes")])
    called = f"{name} is called as {name}({words})"
    try:
        signature.bind(*parameters, **more)
    except TypeError as error:
        raise InputError(f"{called}, which its parameters do not take: {error}") from error
    for place, own in zip(parameters, signature.parameters, strict=False):
        if own in parameters and own != place:
            raise InputError(f"{called}, and its parameter {own} stands where {place} is")


def by_length(given: Any) -> Any:
    """Read by its length what has one and no iterator: numpy would go on until an item is missing.

    Raises
    ------
    Exception
        Whatever anyone's object raises.
    """
    known = ("__array__", "__array_interface__", "__iter__", "detach")
    if any(hasattr(given, name) for name in known) or not hasattr(given, "__getitem__"):
        return given
    n_items = len(given)
    if n_items > MOST_LISTED:
        # Memory for them may be promised, and be filled for days.
        raise ValueError(f"it claims {n_items:,} entries")
    return [given[place] for place in range(n_items)]


def check_unmasked(what: str, given: object) -> None:
    """Refuse an array with masked values: what lies beneath would be read as if it counted."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise InputError(f"{what} hold masked values; fill them, such as {what}.filled(0)")


def as_array(what: str, given: Any, dtype: type | None = None) -> npt.NDArray[Any]:
    """Turn what a user gives into an array; whatever stands against that is an `InputError`.

    Examples
    --------
    >>> as_array("scores", [1, 2], float)
    array([1., 2.])
    >>> as_array("scores", [[1], [1, 2]])
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: scores cannot be read as an array: [[1], [1, 2]] (...)
    """
    check_unmasked(what, given)
    try:
        return np.asarray(by_length(given), dtype)
    # Of rows of several lengths, of tensors that are not here, or of an object of anyone's.
    except Exception as error:
        raise InputError(f"{what} cannot be read as an array: {shown(given)} ({error})") from error


def as_tuple(name: str, given: Any) -> tuple[Any, ...]:
    """Read a parameter or setting that is a list.

    Raises
    ------
    InputError
        If it is a single value, or a text, whose letters nobody means.

    Examples
    --------
    >>> as_tuple("channels", range(16, 18))
    (16, 17)
    >>> as_tuple("samplers", "cc-or")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: samplers must be a list, such as samplers=['cc-or'], not 'cc-or'
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(
            f"{name} must be a list, such as {name}=[{shown(given)}], not {shown(given)}"
        )
    found: tuple[Any, ...] = ()
    try:
        # The length of what has one is known before its entries are made.
        n_listed = len(given) if isinstance(given, Sized) else 0
        if n_listed <= MOST_LISTED:
            found = tuple(islice(given, MOST_LISTED + 1))
    # Of an array without axes, or what anyone's generator raises.
    except Exception as error:
        raise InputError(f"{name} must be a list, not {shown(given)}: {error}") from error
    if max(n_listed, len(found)) > MOST_LISTED:
        raise InputError(f"{name} is {shown(given)}, which has more than {MOST_LISTED:,} entries")
    return found


def first_repeated(values: Iterable[H]) -> H | None:
    """Give the first value that comes more than once; None where all differ.

    Examples
    --------
    >>> first_repeated("abcb")
    'b'
    """
    return next((value for value, count in Counter(values).items() if count > 1), None)


def as_seeds(name: str, given: Any) -> tuple[int, ...]:
    """Read a list of seeds.

    Raises
    ------
    InputError
        If it is no list or an empty one, or a value cannot be a seed or comes twice: a repeated
        seed repeats its result, and a spread over the two would be 0.

    Examples
    --------
    >>> as_seeds("seeds", [777, 888])
    (777, 888)
    >>> as_seeds("seeds", [1, 1])
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: seeds has 1 twice, which would only repeat the same result; give
    each seed once
    """
    seeds = as_tuple(name, given)
    if not seeds:
        raise InputError(f"{name} needs at least one integer, such as {name}=[777]")
    for place, seed in enumerate(seeds):
        SEED.check(f"each of {name}", seed)
        if seed in seeds[:place]:
            raise InputError(
                f"{name} has {seed} twice, which would only repeat the same result; give each "
                "seed once"
            )
    return tuple(int(seed) for seed in seeds)
