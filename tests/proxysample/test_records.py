"""Dataclasses that are written as JSON, and read back where every value is of its kind."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Self

import pytest

from proxysample.errors import InputError
from proxysample.records import (
    REQUIRED,
    TEXT,
    UNWRITTEN,
    Amount,
    Count,
    Measure,
    Named,
    Percent,
    Record,
    list_of,
    one_of,
)

from ..mutations import changed_values

if TYPE_CHECKING:
    from nowhere import Network


@dataclass(frozen=True)
class Color:
    """Written as a text by a class of its own."""

    red: int

    @classmethod
    def from_string(cls, text: str) -> Self:
        if not text.startswith("#"):
            raise InputError(f"{text!r} is no color")
        return cls(int(text[1:], 16))

    def __str__(self) -> str:
        return f"#{self.red:x}"


@dataclass(frozen=True)
class Place(Record, title="a place"):
    name: str
    position: tuple[Count, Count]


@dataclass(frozen=True)
class Trip(Record, title="a trip"):
    seconds: Amount
    info: Annotated[Place, Named("facts")]
    stops: tuple[Place, ...]
    by_day: dict[str, Place]
    color: Color
    grid: tuple[Annotated[tuple[float, ...], list_of(TEXT, 2)], ...]
    settings: dict[str, Any]
    weather: Annotated[str, one_of("sun", "rain")] = "sun"
    losses: tuple[Measure, ...] = ()
    last: Place | None = None
    share: Percent | None = None
    note: Annotated[str | None, REQUIRED] = None
    network: Network | None = field(default=None, metadata=UNWRITTEN, compare=False)


HOME = Place("home", (0, 1))
TRIP = Trip(1.5, HOME, (HOME, HOME), {"monday": HOME}, Color(10), (("a", "b"),), {"a": [1]})


def test_a_record_is_plain_json_and_comes_back() -> None:
    home = {"name": "home", "position": [0, 1]}
    written = {
        "seconds": 1.5,
        "facts": home,
        "stops": [home, home],
        "by_day": {"monday": home},
        "color": "#a",
        "grid": [["a", "b"]],
        "settings": {"a": [1]},
        "weather": "sun",
        "losses": [],
        "last": None,
        "share": None,
        "note": None,
    }
    assert TRIP.to_dict() == written
    assert list(TRIP.to_dict()) == list(written)
    assert Trip.from_dict(json.loads(json.dumps(written))) == TRIP
    assert Trip.from_json(TRIP.to_json()) == TRIP
    assert TRIP.to_json() == json.dumps(written, sort_keys=True)


def test_what_is_written_is_not_shared() -> None:
    TRIP.to_dict()["settings"]["a"].append(2)
    assert TRIP.settings == {"a": [1]}


def test_json_may_lack_what_has_a_default() -> None:
    written = TRIP.to_dict()
    for name in ("weather", "losses", "last", "share"):
        del written[name]
    assert Trip.from_dict(written) == TRIP
    assert math.isnan(Trip.from_dict(written | {"losses": [math.nan]}).losses[0])


def test_what_is_not_written_is_given_beside() -> None:
    network: Any = object()
    assert Trip.from_dict(TRIP.to_dict(), network=network).network is network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": -1}, "a trip is damaged: its seconds is -1, not a number of at least 0"),
        ({"seconds": math.nan}, "its seconds is nan"),
        ({"seconds": 1 << 70}, "its seconds is 1180591620717411303424"),
        ({"seconds": True}, "its seconds is True"),
        ({"facts": []}, r"its facts is \[\], not a mapping"),
        ({"facts": {"name": 3, "position": [0, 1]}}, "a place is damaged: its name is 3"),
        ({"stops": [{"name": "x"}]}, "a place is damaged: it holds no position"),
        ({"stops": [1]}, r"its stops is \[1\], not a list, each a mapping"),
        ({"by_day": {"monday": 1}}, "its by_day is .* not a mapping to a mapping"),
        ({"color": "red"}, "'red' is no color"),
        ({"color": 3}, "its color is 3, not a text"),
        ({"grid": [["a"]]}, r"its grid is .* not a list, each a list of 2, each a text"),
        ({"last": 3}, "its last is 3, not a mapping or null"),
        ({"share": 101}, "its share is 101, not a percentage or null"),
        ({"weather": "fog"}, "its weather is 'fog', not 'sun' or 'rain'"),
        ({"facts": {"name": "x", "position": [0, 1, 2]}}, "not a list of 2, each an integer"),
    ],
)
def test_a_value_of_another_kind_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Trip.from_dict(TRIP.to_dict() | changes)


@pytest.mark.parametrize("name", ["seconds", "facts", "settings", "note"])
def test_a_missing_value_is_named(name: str) -> None:
    written = TRIP.to_dict()
    del written[name]
    with pytest.raises(InputError, match=f"a trip is damaged: it holds no {name}"):
        Trip.from_dict(written)


def test_every_value_of_another_type_is_read_or_refused() -> None:
    refused = 0
    for changed in changed_values(TRIP.to_dict()):
        try:
            assert Trip.from_dict(changed).to_dict()
        except InputError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 100_000, "{", b"\xff"])
def test_what_is_no_mapping_of_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match="a trip is damaged"):
        Trip.from_json(text)


def test_a_field_of_no_kind_is_a_mistake_of_the_class() -> None:
    @dataclass(frozen=True)
    class Loose(Record, title="loose"):
        anything: int

    with pytest.raises(TypeError, match="what JSON holds for <class 'int'>"):
        Loose(3).to_dict()


def test_the_kinds_are_those_of_the_json() -> None:
    assert Place.kinds().keys() == {"name", "position"}
    assert Trip.kinds()["facts"].words == "a mapping"
