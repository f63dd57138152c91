"""The notation of NAS-Bench-201: a cell as a string."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterable

from proxysample.errors import InputError
from proxysample.printing import shown
from proxysample_nas.space.operations import get_operation

_EXAMPLE = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|"
_TOKEN = re.compile(r"(?P<operation>[^~|+]+)~(?P<source>[0-9]+)")


def read_operations(text: str) -> tuple[str, ...]:
    """Parse ``|operation~source|...|+|...|``: one name per edge, as `Cell.from_string` says.

    Examples
    --------
    >>> read_operations("|none~0|+|skip_connect~0|none~1|")
    ('none', 'skip_connect', 'none')
    """
    given: object = text
    if not isinstance(given, str):
        raise InputError(f"a cell is parsed from a string such as {_EXAMPLE!r}, not {shown(given)}")
    stripped = text.strip()
    if not stripped:
        raise InputError(f"the cell string is empty; write it like {_EXAMPLE!r}")
    position = text.index(stripped) + 1
    operations: list[str] = []
    for target, group in enumerate(stripped.split("+"), start=1):
        operations += _read_group(group, target, position)
        position += len(group) + 1
    return tuple(operations)


def write_operations(edges: Iterable[tuple[int, int, str]]) -> str:
    """Write what `read_operations` reads, of edges with ascending targets and then sources.

    Examples
    --------
    >>> write_operations([(0, 1, "none"), (0, 2, "skip_connect"), (1, 2, "none")])
    '|none~0|+|skip_connect~0|none~1|'
    """
    groups = (
        "|" + "".join(f"{operation}~{source}|" for source, _, operation in group)
        for _, group in itertools.groupby(edges, key=operator.itemgetter(1))
    )
    return "+".join(groups)


def _read_group(group: str, target: int, position: int) -> list[str]:
    if len(group) < 2 or group[0] != "|" or group[-1] != "|":
        raise InputError(
            f"position {position} of the cell: the operations of node {target} must stand "
            f"between '|' as in {_EXAMPLE!r}, not {group!r}"
        )
    tokens = group[1:-1].split("|")
    position += 1
    operations = []
    for source, token in enumerate(tokens):
        operations.append(_read_token(token, source, position))
        position += len(token) + 1
    if len(tokens) != target:
        raise InputError(
            f"position {position} of the cell: node {target} needs {target} operations, one per "
            f"node before it, but has {len(tokens)}"
        )
    return operations


def _read_token(token: str, source: int, position: int) -> str:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InputError(
            f"position {position} of the cell: expected 'operation~{source}', not {token!r}"
        )
    operation = match["operation"]
    try:
        get_operation(operation)
    except InputError as error:
        raise InputError(f"position {position} of the cell: {error}") from None
    if match["source"] != str(source):
        raise InputError(
            f"position {position} of the cell: expected source {source} here, since the sources "
            f"of a node ascend from 0, not {match['source']}"
        )
    return operation
