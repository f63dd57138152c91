"""Values read from words, and counts and lengths of time written in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from proxysample.errors import InputError
from proxysample.printing import shown

# Users of Python write these where JSON has true, false and null.
_PYTHON_WORDS = {"True": True, "False": False, "None": None}

_OPENING, _CLOSING = "[{(", "]})"


def without_folders(words: str) -> str:
    """Leave out of ``READER:PATH``, or of a path, the folders, which are of one machine alone.

    A hidden folder, such as ``.data``, is left out whole.

    Examples
    --------
    >>> without_folders("npz:/home/ada/cifar100.npz"), without_folders("cifar100:.data")
    ('npz:cifar100.npz', 'cifar100')
    >>> without_folders("digits"), without_folders("results/published.csv")
    ('digits', 'published.csv')
    """
    before, colon, path = words.rpartition(":")
    # The colon behind the letter of a drive is no reader's.
    if len(before) == 1:
        before, colon = "", ""
    name = re.split(r"[/\\\\]", path.rstrip("/\\"))[-1]
    if not name or name.startswith("."):
        return before or words
    return f"{before}{colon}{name}"


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` words, whose values are JSON or Python's True, False and None.

    Any other value is a string.

    Parameters
    ----------
    words : iterable of str
        Such as ``"n_clusters=50"``.

    Returns
    -------
    dict
        Values by name.

    Raises
    ------
    InputError
        If a word has no equals sign.

    Examples
    --------
    >>> parse_parameters(["n_clusters=50", "protocol=paper"])
    {'n_clusters': 50, 'protocol': 'paper'}
    >>> parse_parameters(["nesterov=False", "progress=true", "gradient_clip=None"])
    {'nesterov': False, 'progress': True, 'gradient_clip': None}
    """
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise InputError(f"a parameter is given as name=value, not {shown(word)}")
        parameters[name.strip().replace("-", "_")] = _parse_value(text)
    return parameters


def parse_words(words: str) -> dict[str, Any]:
    """Read ``"name=value,name=value"``; `InputError` for any other word, or a name given twice.

    A comma within brackets belongs to a value.

    Examples
    --------
    >>> parse_words("epochs=2,protocol=paper")
    {'epochs': 2, 'protocol': 'paper'}
    >>> parse_words('betas=[0.5,0.9],keep={"name":"middle","parameters":{"quantile":0.25}}')
    {'betas': [0.5, 0.9], 'keep': {'name': 'middle', 'parameters': {'quantile': 0.25}}}
    >>> parse_words("n_clusters=50,keep=ccs(beta=0.3,n_bins=20)")
    {'n_clusters': 50, 'keep': 'ccs(beta=0.3,n_bins=20)'}
    """
    given = _split(words) if words else []
    parameters = parse_parameters(given)
    if len(parameters) < len(given):
        raise InputError(f"a parameter is given twice in {shown(words)}")
    return parameters


def _split(words: str) -> list[str]:
    found, depth = [""], 0
    for character in words:
        depth = max(0, depth + (character in _OPENING) - (character in _CLOSING))
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def _parse_value(text: str) -> Any:
    if text.strip() in _PYTHON_WORDS:
        return _PYTHON_WORDS[text.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        raise InputError(
            f"the value {shown(text, 40)}... is too long a number, or nests too deeply, to be a "
            "parameter"
        ) from None


PLURALS = {"class": "classes", "search": "searches"}
"""Nouns that take more than an s."""

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def plural(noun: str) -> str:
    """Write a noun of more than one.

    Examples
    --------
    >>> plural("search"), plural("epoch")
    ('searches', 'epochs')
    """
    return PLURALS.get(noun, f"{noun}s")


def pluralize(number: int, noun: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> pluralize(1, "worker"), pluralize(1400, "training"), pluralize(0, "search")
    ('1 worker', '1,400 trainings', '0 searches')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def format_duration(seconds: float) -> str:
    """Write a length of time to two figures or so.

    Examples
    --------
    >>> [format_duration(seconds) for seconds in (0.04, 8.25, 75, 5400, 500_000)]
    ['0.04 s', '8.2 s', '75 s', '90 min', '5.8 d']
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    for size, unit in UNITS:
        # Below two of a unit, the next smaller one is easier to read.
        if seconds >= 2 * size or size == 1:
            count = seconds / size
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"
    raise AssertionError("unreachable")


def aligned(lines: Iterable[Sequence[str]]) -> str:
    """Set lines in columns, the first to the left and the others to the right.

    Parameters
    ----------
    lines : iterable of sequence of str
        All of the same length.

    Returns
    -------
    str

    Examples
    --------
    >>> print(aligned([["stage", "done"], ["search", "12"]]))
    stage   done
    search    12
    """
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    written = []
    for first, *others in rows:
        words = [first.ljust(widths[0])]
        words += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        written.append("  ".join(words).rstrip())
    return "\n".join(written)


# What ends a line, what nobody sees, and what turns the direction of the text around it.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Write characters that would not be seen, or would disturb others, as escapes.

    Names of files and classes come from anywhere: with line breaks, marks of direction, or bytes
    that are no text, which no file in UTF-8 could hold.

    Examples
    --------
    >>> print(visible("cat\n.png"), visible("gpj.\u202eexe"), visible("Größe.png"))
    cat\n.png gpj.\u202eexe Größe.png
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
