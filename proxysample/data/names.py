"""How a dataset is named in one string: its reader, options of that, and a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from proxysample.errors import InputError
from proxysample.wording import parse_parameters

_OPENING, _CLOSING = "[{", "]}"


@dataclass(frozen=True)
class DatasetName:
    """What ``"csv,root=photos,label=species:train.csv"`` says.

    Attributes
    ----------
    kind : str
        The reader's id.
    options : mapping
        Values by name, written before the colon, so that a path may hold anything.
    path : str or None
        None where there is no colon.

    Examples
    --------
    >>> DatasetName.parse("csv,root=photos,label=1:a,b:c.csv")
    DatasetName(kind='csv', options={'root': 'photos', 'label': 1}, path='a,b:c.csv')
    >>> DatasetName.parse('npz,features=["a","b"],image="x:y":c.npz').options
    {'features': ['a', 'b'], 'image': 'x:y'}
    >>> DatasetName.parse("digits")
    DatasetName(kind='digits', options={}, path=None)
    """

    kind: str
    options: Mapping[str, Any]
    path: str | None

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read a name; `InputError` for an option that is none, or is given twice."""
        (kind, *words), path = _split(spec)
        options = parse_parameters(words)
        if len(options) < len(words):
            raise InputError(f"dataset {spec!r} gives an option twice")
        return cls(kind, options, path)


def _split(spec: str) -> tuple[list[str], str | None]:
    """Cut a name at the commas before its first colon; those in brackets or quotes are values."""
    words, depth, quoted = [""], 0, False
    for place, character in enumerate(spec):
        quoted ^= character == '"'
        depth = max(0, depth + (character in _OPENING) - (character in _CLOSING))
        if quoted or depth or character not in ",:":
            words[-1] += character
        elif character == ":":
            return words, spec[place + 1 :]
        else:
            words.append("")
    return words, None


def split_name(text: str) -> tuple[str, str]:
    """Part a dataset's name from what follows its path after a comma.

    Examples
    --------
    >>> split_name("cifar10:data,channels=16"), split_name("digits,channels=16")
    (('cifar10:data', 'channels=16'), ('digits', 'channels=16'))
    >>> split_name("csv,root=photos:train.csv,channels=16")
    ('csv,root=photos:train.csv', 'channels=16')
    """
    words, path = _split(text)
    head = words[0] if path is None else text[: len(text) - len(path)]
    name, _, rest = (text if path is None else path).partition(",")
    return (name if path is None else head + name), rest
