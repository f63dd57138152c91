"""Cells as strings: in the notation of NAS-Bench-201, and in a normal form.

The normal form is equal for cells that compute the same family of functions.
Every node of a cell is a sum of terms. A term is the cell's input ``x`` or the output of one
convolution, behind any number of average pools. The normal form writes each convolution as a
formula over such terms and then the cell's output, with the convolutions named in a canonical
order. An operation of a user's own stands in it as a convolution does. What it takes as equal:

- an operation off every path from input to output, and ``none``, adds nothing (zero pruning);
- ``skip_connect`` is the identity;
- a sum does not depend on the order or grouping of its terms;
- average pooling has no parameters and is linear, so that it distributes over a sum;
- another pool, such as max pooling, gives the same wherever it reads the same sum;
- nodes and convolutions may be renumbered.

What it keeps apart is whether a convolution is shared: ``2*c1`` (one convolution that arrives
twice) is another function than ``c1+c2``. The string of NAS-Bench-201 (Dong & Yang 2020, section
2.1) expands every node in place, so that it takes these two as equal, and neither regroups sums nor
distributes pools nor drops every zero: it counts 6,466 among the 15,625 cells of four nodes, the
normal form 5,044.

Zero pruning is exact while the shift of every BatchNorm is zero, as at the start of training and
always in a search: later, a convolution of a zero image can learn a constant.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxysample.errors import InputError
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
        raise InputError(f"a cell is parsed from a string such as {_EXAMPLE!r}, not {given!r}")
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


Terms = Counter[tuple[int, int]]
"""How often each (convolution, number of average pools behind it) enters a sum."""

_INPUT = -1
_OUTPUT = -2


@dataclass(frozen=True)
class _Formulas:
    kinds: list[str]
    definitions: list[Terms]
    output: Terms


def normal_form(n_nodes: int, edges: Sequence[tuple[int, int, str]]) -> str:
    """Write the function that a graph of operations computes in its normal form.

    Parameters
    ----------
    n_nodes : int
        Number of nodes; the first is the input and the last the output.
    edges : sequence of (int, int, str)
        Source, target and operation, without zeros and only those on a path from the input to
        the output. Sources of a target come before it.

    Returns
    -------
    str
        One formula per convolution and last the output's, separated by ``"; "``. The output of
        a graph without edges is ``0``.

    Examples
    --------
    A pool behind a sum, and a sum of pools:

    >>> pool, skip, convolution = "avg_pool_3x3", "skip_connect", "nor_conv_1x1"
    >>> normal_form(3, [(0, 1, skip), (0, 1, convolution), (1, 2, pool)])
    'c1=nor_conv_1x1(x); avg_pool_3x3(x)+avg_pool_3x3(c1)'
    >>> normal_form(3, [(0, 1, convolution), (0, 2, pool), (1, 2, pool)])
    'c1=nor_conv_1x1(x); avg_pool_3x3(x)+avg_pool_3x3(c1)'
    """
    formulas = _formulas(n_nodes, edges)
    return min(_write(formulas, colours) for colours in _discrete_colourings(formulas))


def _formulas(n_nodes: int, edges: Sequence[tuple[int, int, str]]) -> _Formulas:
    formulas: list[tuple[str, Terms]] = []
    nodes: list[Terms] = [Counter() for _ in range(n_nodes)]
    nodes[0][_INPUT, 0] = 1
    for source, target, operation in sorted(edges):
        kind = get_operation(operation).kind
        if kind == "identity":
            nodes[target].update(nodes[source])
        elif operation == "avg_pool_3x3":
            for (convolution, pools), count in nodes[source].items():
                nodes[target][convolution, pools + 1] += count
        else:
            formula = operation, nodes[source]
            # Only what has no parameters is the same function wherever it stands.
            if kind != "pool" or formula not in formulas:
                formulas.append(formula)
            place = formulas.index(formula) if kind == "pool" else len(formulas) - 1
            nodes[target][place, 0] += 1
    kinds, definitions = zip(*formulas, strict=True) if formulas else ((), ())
    return _Formulas(list(kinds), list(definitions), nodes[-1])


def _discrete_colourings(formulas: _Formulas) -> list[list[int]]:
    """Order the convolutions in every way that colour refinement leaves open."""
    open_colourings = [_refine(formulas, _rank(_initial_signatures(formulas)))]
    discrete = []
    while open_colourings:
        colours = open_colourings.pop()
        sizes = Counter(colours)
        shared = [colour for colour in sorted(sizes) if sizes[colour] > 1]
        if not shared:
            discrete.append(colours)
        for convolution, colour in enumerate(colours):
            if shared and colour == shared[0]:
                singled_out = [(other, index != convolution) for index, other in enumerate(colours)]
                open_colourings.append(_refine(formulas, _rank(singled_out)))
    return discrete


def _initial_signatures(formulas: _Formulas) -> list[tuple[int, str]]:
    depths = {_INPUT: 0}
    for convolution, definition in enumerate(formulas.definitions):
        depths[convolution] = 1 + max(depths[operand] for operand, _ in definition)
    return [(depths[convolution], kind) for convolution, kind in enumerate(formulas.kinds)]


def _refine(formulas: _Formulas, colours: list[int]) -> list[int]:
    """Split the colour classes by operands and uses until nothing splits any more."""
    sums = [*enumerate(formulas.definitions), (_OUTPUT, formulas.output)]
    while True:
        names = {**dict(enumerate(colours)), _INPUT: _INPUT, _OUTPUT: _OUTPUT}
        operands: dict[int, list[tuple[int, int, int]]] = {name: [] for name in names}
        uses: dict[int, list[tuple[int, int, int]]] = {name: [] for name in names}
        for user, terms in sums:
            for (operand, pools), count in terms.items():
                operands[user].append((names[operand], pools, count))
                uses[operand].append((names[user], pools, count))
        refined = _rank(
            [
                (colour, sorted(operands[convolution]), sorted(uses[convolution]))
                for convolution, colour in enumerate(colours)
            ]
        )
        if refined == colours:
            return colours
        colours = refined


def _rank(signatures: Sequence[tuple[object, ...]]) -> list[int]:
    ordered = sorted(signatures)
    ranks: dict[str, int] = {}
    for signature in ordered:
        ranks.setdefault(repr(signature), len(ranks))
    return [ranks[repr(signature)] for signature in signatures]


def _write(formulas: _Formulas, colours: list[int]) -> str:
    by_colour = sorted(range(len(colours)), key=colours.__getitem__)
    ranks = {convolution: rank for rank, convolution in enumerate(by_colour, start=1)}
    lines = [
        f"c{ranks[convolution]}={formulas.kinds[convolution]}"
        f"({_write_sum(formulas.definitions[convolution], ranks)})"
        for convolution in by_colour
    ]
    return "; ".join([*lines, _write_sum(formulas.output, ranks)])


def _write_sum(terms: Terms, ranks: dict[int, int]) -> str:
    written = []
    for (convolution, pools), count in sorted(
        terms.items(), key=lambda term: (ranks.get(term[0][0], 0), term[0][1])
    ):
        name = "x" if convolution == _INPUT else f"c{ranks[convolution]}"
        times = f"{count}*" if count > 1 else ""
        written.append(times + "avg_pool_3x3(" * pools + name + ")" * pools)
    return "+".join(written) or "0"
