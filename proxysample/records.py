"""What JSON of a file holds: checked before anything relies on it, and dataclasses made of it."""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import MISSING, dataclass, fields
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from proxysample.errors import InputError
from proxysample.printing import shown

# Larger integers are none that a count, a seed or a second can be, and overflow in numpy.
LARGEST_INTEGER = 1 << 63


@dataclass(frozen=True)
class Kind:
    """What a value has to be.

    Attributes
    ----------
    words : str
        For messages, such as ``"a number"``.
    accepts : callable
        Tells of any JSON value whether it is that.
    """

    words: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST_INTEGER


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < LARGEST_INTEGER


TEXT = Kind("a text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number", _is_number)
MEASURE = Kind("a number", lambda value: type(value) is float or _is_number(value))
AMOUNT = Kind("a number of at least 0", lambda value: _is_number(value) and value >= 0)
PERCENT = Kind("a percentage", lambda value: _is_number(value) and 0 <= value <= 100)
INTEGER = Kind("an integer", _is_integer)
COUNT = Kind("an integer of at least 0", lambda value: _is_integer(value) and value >= 0)
POSITIVE = Kind("an integer of at least 1", lambda value: _is_integer(value) and value >= 1)
MAPPING = Kind("a mapping", lambda value: isinstance(value, Mapping))


def one_of(*values: str) -> Kind:
    """Give the kind of a value that is one of a few texts."""
    return Kind(" or ".join(map(repr, values)), lambda value: value in values)


def optional(kind: Kind) -> Kind:
    """Give the kind of a value that may be null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.accepts(value))


def list_of(kind: Kind, length: int | None = None) -> Kind:
    """Give the kind of a list whose values are of one kind, so many of them if that is given."""
    words = f"a list{'' if length is None else f' of {length}'}, each {kind.words}"

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, list | tuple)
            and length in (None, len(value))
            and all(map(kind.accepts, value))
        )

    return Kind(words, accepts)


def mapping_to(kind: Kind) -> Kind:
    """Give the kind of a mapping of texts to values of one kind."""
    return Kind(
        f"a mapping to {kind.words}",
        lambda value: MAPPING.accepts(value) and all(map(kind.accepts, value.values())),
    )


def check_values(values: Any, kinds: Mapping[str, Kind], where: str) -> None:
    """Check that what is in a mapping is of its kind; what is missing is not looked for.

    Parameters
    ----------
    values : object
        What JSON gave.
    kinds : mapping of str to Kind
        By name; other names are not looked at.
    where : str
        What holds the values, for messages.

    Raises
    ------
    InputError
        If there is no mapping, or a value is of another kind.

    Examples
    --------
    >>> check_values({"seconds": "soon"}, {"seconds": AMOUNT}, "a.json")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.json is damaged: its seconds is 'soon', not a number of at least 0
    """  # noqa: E501
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is damaged: it is {shown(values)}, not a mapping")
    for name, kind in kinds.items():
        if name in values and not kind.accepts(values[name]):
            raise InputError(
                f"{where} is damaged: its {name} is {shown(values[name])}, not {kind.words}"
            )


def require_values(values: Any, kinds: Mapping[str, Kind], where: str) -> None:
    """Check as `check_values` does, and that no value is missing.

    Parameters
    ----------
    values, kinds, where
        See `check_values`.

    Raises
    ------
    InputError
        If a value is missing or of another kind.

    Examples
    --------
    >>> require_values({}, {"seconds": AMOUNT}, "a.json")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.json is damaged: it holds no seconds
    """
    check_values(values, kinds, where)
    missing = [name for name in kinds if name not in values]
    if missing:
        raise InputError(f"{where} is damaged: it holds no {missing[0]}")


def check_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Raise `InputError` for the first value of a user's settings that is not of its kind.

    Examples
    --------
    >>> check_kinds({"random_state": -1}, {"random_state": COUNT})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: random_state must be an integer of at least 0, not -1
    """
    for name, kind in kinds.items():
        if not kind.accepts(values[name]):
            raise InputError(f"{name} must be {kind.words}, not {shown(values[name])}")


# For the fields of a record: a type and what JSON has to hold for it.
Integer = Annotated[int, INTEGER]
Count = Annotated[int, COUNT]
Positive = Annotated[int, POSITIVE]
Number = Annotated[float, NUMBER]
Measure = Annotated[float, MEASURE]
Amount = Annotated[float, AMOUNT]
Percent = Annotated[float, PERCENT]


class PlainMapping(dict[str, Any]):
    """A mapping out of a file; what it lacks is the file's fault, and said so.

    Examples
    --------
    >>> PlainMapping(seconds=1.5)["cell"]
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a file is damaged: a mapping of seconds lacks 'cell'
    """

    def __missing__(self, name: str) -> Any:
        known = ", ".join(map(str, self))
        raise InputError(f"a file is damaged: a mapping of {known:.200} lacks {shown(name)}")


def read_json(text: str | bytes, where: str, *, explain_missing: bool = False) -> Any:
    """Read JSON of a file.

    Parameters
    ----------
    text : str or bytes
    where : str
        What holds it, for messages.
    explain_missing : bool
        Whether mappings become `PlainMapping`.

    Raises
    ------
    InputError
        If it is no JSON, or nests too deeply to be read.
    """
    try:
        return json.loads(text, object_hook=PlainMapping if explain_missing else None)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is damaged: {error}") from error


def check_finite(values: Any, where: str) -> None:
    """Refuse JSON that holds NaN or an infinite number, as what names experiments never does.

    Examples
    --------
    >>> check_finite({"parameters": {"rate": float("nan")}}, "a.json")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.json is damaged: it holds a number that is not finite
    """
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        raise InputError(f"{where} is damaged: it holds a number that is not finite") from None


@dataclass(frozen=True)
class Named:
    """In a field's annotation: its name in JSON, where that is another than the attribute's."""

    name: str


REQUIRED: Final = object()
"""In a field's annotation: JSON has to hold it although the attribute has a default."""

UNWRITTEN: Final = {"unwritten": True}
"""A field's metadata: it is no part of the JSON, and its type is none that JSON knows."""


@dataclass(frozen=True, eq=False)
class Record:
    """A dataclass that is written as JSON, and read back where every value is of its kind.

    A subclass is a frozen dataclass whose annotations say what JSON holds: ``str``, the types of
    this module such as `Count`, ``Annotated[..., kind]``, other records, classes that have
    ``from_string`` and are written by ``str``, and of all these optional values, tuples and
    mappings. JSON may lack what has a default.

    Parameters
    ----------
    title : str
        Of the class statement: what holds the values, for messages.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Pass(Record, title="a pass"):
    ...     seconds: Amount
    ...     losses: tuple[Measure, ...] = ()
    >>> Pass(1.5, (0.25,)).to_dict()
    {'seconds': 1.5, 'losses': [0.25]}
    >>> Pass.from_dict({"seconds": 1.5})
    Pass(seconds=1.5, losses=())
    >>> Pass.from_json('{"seconds": -1}')
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a pass is damaged: its seconds is -1, not a number of at least 0
    """

    _title: ClassVar[str] = "a record"
    _known: ClassVar[tuple[_Entry, ...]] = ()

    def __init_subclass__(cls, *, title: str, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls._title = title

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """Tell the kind of every value, by its name in JSON."""
        return {one.name: one.kind for one in cls._entries()}

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON values, none of which is shared with it."""
        return {one.name: one.write(getattr(self, one.attribute)) for one in self._entries()}

    @classmethod
    def from_dict(cls, values: Any, **unwritten: Any) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict
        **unwritten : object
            The attributes that are no part of it.

        Raises
        ------
        InputError
            If a value is missing or of another kind.
        """
        entries = cls._entries()
        require_values(values, {one.name: one.kind for one in entries if one.needed}, cls._title)
        check_values(values, cls.kinds(), cls._title)
        held = [one for one in entries if one.name in values]
        return cls(**{one.attribute: one.read(values[one.name]) for one in held}, **unwritten)

    def to_json(self) -> str:
        """Write the record as JSON, its names sorted."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote; `InputError` where it is damaged."""
        return cls.from_dict(read_json(text, cls._title))

    @classmethod
    def _entries(cls) -> tuple[_Entry, ...]:
        # Not before it is used: a class is made before all that its annotations name.
        if "_known" not in vars(cls):
            cls._known = _entries_of(cls)
        return cls._known


@dataclass(frozen=True)
class _Entry:
    attribute: str
    name: str
    needed: bool
    kind: Kind
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def _entries_of(cls: type[Record]) -> tuple[_Entry, ...]:
    entries = []
    for one in fields(cls):
        # Nothing resolves the type of what is not written: it may be imported for checkers alone.
        if one.metadata != UNWRITTEN:
            hint = _annotation(cls, one.name)
            marks = getattr(hint, "__metadata__", ())
            names = [mark.name for mark in marks if isinstance(mark, Named)]
            has_default = one.default is not MISSING or one.default_factory is not MISSING
            needed = not has_default or REQUIRED in marks
            name = names[0] if names else one.name
            entries.append(_Entry(one.name, name, needed, _kind(hint), *_conversions(hint)))
    return tuple(entries)


def _annotation(cls: type, name: str) -> Any:
    home = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    holder = types.SimpleNamespace(__annotations__={name: inspect.get_annotations(home)[name]})
    names = vars(sys.modules[home.__module__])
    return get_type_hints(holder, names, include_extras=True)[name]


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Tell what a type is made by, and of what; of an optional type, of what it is else."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return Union, tuple(one for one in arguments if one is not type(None))
    return origin, arguments


def _kind(hint: Any) -> Kind:
    given = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Kind)]
    if given:
        return given[0]
    origin, arguments = _parts(hint)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Union:
        return optional(_kind(arguments[0]))
    if origin is tuple:
        return list_of(_kind(arguments[0]), None if ... in arguments else len(arguments))
    if origin in (dict, Mapping):
        return MAPPING if arguments[1] is Any else mapping_to(_kind(arguments[1]))
    if hint is str or hasattr(hint, "from_string"):
        return TEXT
    if isinstance(hint, type) and issubclass(hint, Record):
        return MAPPING
    raise TypeError(f"a record cannot tell what JSON holds for {hint}: annotate it with a Kind")


def _conversions(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Give what reads a value of JSON, and what writes it."""
    origin, arguments = _parts(hint)
    if origin is Annotated:
        return _conversions(arguments[0])
    if origin is Union:
        return _optional_conversions(arguments[0])
    if origin is tuple:
        read, write = _conversions(arguments[0])
        return lambda values: tuple(map(read, values)), lambda values: list(map(write, values))
    if origin in (dict, Mapping):
        return _mapping_conversions(arguments[1])
    if hasattr(hint, "from_string"):
        return hint.from_string, str
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict, lambda record: record.to_dict()
    return _same, _same


def _same(value: Any) -> Any:
    return value


def _optional_conversions(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    read, write = _conversions(hint)
    return (
        lambda value: None if value is None else read(value),
        lambda value: None if value is None else write(value),
    )


def _mapping_conversions(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    read, write = _conversions(hint)
    if read is _same:
        return _same, deepcopy
    return (
        lambda values: {name: read(value) for name, value in values.items()},
        lambda values: {name: write(value) for name, value in values.items()},
    )
