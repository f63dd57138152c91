"""Values in words, as command lines and studies take them: ``name=value,name=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from proxysample.errors import InputError

# Users of Python write these where JSON has true, false and null.
_PYTHON_WORDS = {"True": True, "False": False, "None": None}

_OPENING, _CLOSING = "[{", "]}"


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
            raise InputError(f"a parameter is given as name=value, not {word!r}")
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
    """
    given = _split(words) if words else []
    parameters = parse_parameters(given)
    if len(parameters) < len(given):
        raise InputError(f"a parameter is given twice in {words!r}")
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
