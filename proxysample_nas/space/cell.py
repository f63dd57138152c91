"""A cell of the search space: one operation on every edge of a complete graph of nodes."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import SupportsIndex

from proxysample.errors import InputError, unknown_name
from proxysample_nas.space.isomorphism import normal_form
from proxysample_nas.space.notation import read_operations, write_operations

OPERATIONS: tuple[str, ...] = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
"""The operations in the order of NAS-Bench-201, which is the order of every index."""

CONVOLUTIONS: frozenset[str] = frozenset({"nor_conv_1x1", "nor_conv_3x3"})
"""The operations that have learnable parameters."""


def n_edges(n_nodes: int) -> int:
    """Count the edges of a cell: every node has one from each node before it.

    Parameters
    ----------
    n_nodes : int
        Number of nodes, the input node included; at least 2.

    Returns
    -------
    int
        ``n_nodes * (n_nodes - 1) / 2``.

    Raises
    ------
    InputError
        If `n_nodes` is not an integer of at least 2.

    Examples
    --------
    >>> n_edges(4), n_edges(5)
    (6, 10)
    """
    return math.comb(_check_n_nodes(n_nodes), 2)


def edges_of(n_nodes: int) -> tuple[tuple[int, int], ...]:
    """List the edges of a cell as (source, target), in the order of every edge index.

    Parameters
    ----------
    n_nodes : int
        Number of nodes, the input node included; at least 2.

    Returns
    -------
    tuple of (int, int)
        Ascending in the target, then in the source: 1<-0, 2<-0, 2<-1, 3<-0, ...

    Raises
    ------
    InputError
        If `n_nodes` is not an integer of at least 2.

    Examples
    --------
    >>> edges_of(3)
    ((0, 1), (0, 2), (1, 2))
    """
    targets = range(1, _check_n_nodes(n_nodes))
    return tuple((source, target) for target in targets for source in range(target))


def all_cells(n_nodes: int) -> Iterator[Cell]:
    """Enumerate the search space lazily, ``5 ** n_edges(n_nodes)`` cells.

    Parameters
    ----------
    n_nodes : int
        Number of nodes: 4 gives the 15,625 cells of NAS-Bench-201, 5 gives 9,765,625.

    Yields
    ------
    Cell
        Ascending in ``cell.indices``, the last edge fastest.

    Raises
    ------
    InputError
        If `n_nodes` is not an integer of at least 2.

    Examples
    --------
    >>> [str(cell) for cell in itertools.islice(all_cells(2), 2)]
    ['|none~0|', '|skip_connect~0|']
    >>> sum(1 for _ in all_cells(3))
    125
    """
    edge_count = n_edges(n_nodes)
    return (Cell(operations) for operations in itertools.product(OPERATIONS, repeat=edge_count))


@dataclass(frozen=True, order=True, repr=False)
class Cell:
    """A directed acyclic graph of feature maps with one operation per edge.

    Node 0 is the input of the cell. Every later node is the sum, over all nodes before it, of
    the edge's operation applied to that node. The last node is the output (NAS-Bench-201,
    Dong & Yang 2020, section 2.1; the paper uses five nodes, hence the ten edges of its Figure 5).

    Cells are immutable, hashable and ordered; two are equal when their operations are.

    Parameters
    ----------
    operations : sequence of str
        One name out of `OPERATIONS` per edge, in the order of `edges_of`.

    Raises
    ------
    InputError
        If a name is unknown, or if the number of names fits no number of nodes.

    Examples
    --------
    >>> cell = Cell.from_string("|nor_conv_3x3~0|+|skip_connect~0|none~1|")
    >>> cell.n_nodes, cell.operations
    (3, ('nor_conv_3x3', 'skip_connect', 'none'))
    >>> cell.is_connected, cell.is_parameter_free
    (True, True)
    """

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        given: object = self.operations
        if isinstance(given, str):
            raise InputError(
                "Cell takes one operation name per edge; to parse a string use "
                f"Cell.from_string({given!r})"
            )
        operations = tuple(self.operations)
        object.__setattr__(self, "operations", operations)
        for edge, operation in enumerate(operations):
            if operation not in OPERATIONS:
                raise InputError(f"edge {edge}: {unknown_name('operation', operation, OPERATIONS)}")
        if not operations or math.comb(self.n_nodes, 2) != len(operations):
            raise InputError(
                f"{len(operations)} operations fit no number of nodes; give 1 (2 nodes), "
                "3 (3 nodes), 6 (4 nodes), 10 (5 nodes), ..., n * (n - 1) / 2"
            )

    @classmethod
    def from_string(cls, text: str) -> Cell:
        """Parse the notation of NAS-Bench-201.

        Parameters
        ----------
        text : str
            ``|operation~source|...|+|...|``: a ``+`` between the groups of successive target
            nodes, and in each group one operation per source node, sources ascending from 0.
            White space around it is ignored.

        Returns
        -------
        Cell
            The cell that `str` turns back into `text`.

        Raises
        ------
        InputError
            If the text does not follow the notation. The message gives the position (counted
            from 1 in the given text), what was expected there, and the nearest operation name
            for an unknown one.

        Examples
        --------
        >>> Cell.from_string("|avg_pool_3x3~0|+|none~0|skip_connect~1|").n_nodes
        3
        >>> Cell.from_string("|nor_conv_3x3~0|+|none~0|skip_conect~1|")
        Traceback (most recent call last):
        ...
        proxysample.errors.InputError: position 26 of the cell: unknown operation 'skip_conect';
        did you mean 'skip_connect'? Known: none, skip_connect, nor_conv_1x1, nor_conv_3x3,
        avg_pool_3x3
        """
        return cls(read_operations(text, OPERATIONS))

    @classmethod
    def from_indices(cls, indices: Iterable[SupportsIndex]) -> Cell:
        """Build a cell from the index of each edge's operation in `OPERATIONS`.

        Parameters
        ----------
        indices : iterable of int
            One per edge, in the order of `edges_of`, each from 0 to 4. NumPy and PyTorch
            integers are taken too.

        Returns
        -------
        Cell
            With ``cell.indices`` equal to `indices`.

        Raises
        ------
        InputError
            If an index is not an integer from 0 to 4, or their number fits no number of nodes.

        Examples
        --------
        >>> str(Cell.from_indices([3, 1, 0]))
        '|nor_conv_3x3~0|+|skip_connect~0|none~1|'
        """
        return cls(tuple(_operation_at(index, edge) for edge, index in enumerate(indices)))

    @classmethod
    def filled(cls, operation: str, n_nodes: int) -> Cell:
        """Build the cell that has the same operation on every edge.

        Parameters
        ----------
        operation : str
            A name out of `OPERATIONS`; ``"skip_connect"`` gives the paper's local optimum
            (section 4.4.2, Figure 4).
        n_nodes : int
            Number of nodes, the input node included; at least 2.

        Returns
        -------
        Cell
            A cell with one distinct operation.

        Raises
        ------
        InputError
            If the operation is unknown or `n_nodes` is not an integer of at least 2.

        Examples
        --------
        >>> str(Cell.filled("skip_connect", n_nodes=3))
        '|skip_connect~0|+|skip_connect~0|skip_connect~1|'
        """
        return cls((operation,) * n_edges(n_nodes))

    @property
    def n_nodes(self) -> int:
        """Number of nodes, the input node included."""
        return (1 + math.isqrt(1 + 8 * len(self.operations))) // 2

    @property
    def indices(self) -> tuple[int, ...]:
        """The index of each edge's operation in `OPERATIONS`."""
        return tuple(OPERATIONS.index(operation) for operation in self.operations)

    @property
    def edges(self) -> tuple[tuple[int, int, str], ...]:
        """Every edge as (source, target, operation), in the order of `edges_of`."""
        ends = edges_of(self.n_nodes)
        return tuple(
            (source, target, operation)
            for (source, target), operation in zip(ends, self.operations, strict=True)
        )

    @property
    def n_skip_connections(self) -> int:
        """Number of edges that are skip connections, the usual measure of a collapsed search."""
        return self.operations.count("skip_connect")

    @property
    def is_connected(self) -> bool:
        """Whether a path without ``none`` leads from the input node to the output node."""
        return bool(self.contributing_edges)

    @property
    def is_parameter_free(self) -> bool:
        """Whether no convolution lies on a path from the input node to the output node.

        Training such a cell changes nothing inside it. The paper says of the all-skip cell that
        it "does not contain any learnable parameter" (section 4.4.2) and of ENAS's cells of
        skips and pools the same (section 4.4.4). A convolution that the input does not reach, or
        that does not reach the output, is not counted: it never sees the image, or is never seen.

        The star in the paper's tables marks one such cell alone, the all-skip one: it is absent
        from ENAS's cells of skips and pools (Table 3).
        """
        return not any(self.operations[edge] in CONVOLUTIONS for edge in self.contributing_edges)

    @property
    def contributing_edges(self) -> tuple[int, ...]:
        """Indices of the edges that lie on a path without ``none`` from input to output."""
        from_input = {0}
        for source, target, operation in self.edges:
            if operation != "none" and source in from_input:
                from_input.add(target)
        edges = self.edges
        return tuple(edge for edge in self.edges_to_output if edges[edge][0] in from_input)

    @property
    def edges_to_output(self) -> tuple[int, ...]:
        """Indices of the edges, ``none`` aside, whose target has a path to the output node.

        The others cannot change what the cell computes.
        """
        to_output = {self.n_nodes - 1}
        kept = []
        # Sorted by source, descending: every edge out of a node is seen before those into it.
        for edge, (source, target, operation) in sorted(
            enumerate(self.edges), key=lambda item: -item[1][0]
        ):
            if operation != "none" and target in to_output:
                to_output.add(source)
                kept.append(edge)
        return tuple(sorted(kept))

    def unique_form(self) -> str:
        """Return a key that is equal for cells which compute the same family of functions.

        See `proxysample_nas.space.isomorphism` for the invariances that are taken.

        Returns
        -------
        str
            The cell's normal form, readable as formulas.

        Examples
        --------
        >>> left = Cell.from_string("|skip_connect~0|+|none~0|nor_conv_3x3~1|")
        >>> right = Cell.from_string("|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|")
        >>> left.unique_form()
        'c1=nor_conv_3x3(x); c1'
        >>> left.unique_form() == right.unique_form()
        True
        """
        contributing = self.contributing_edges
        return normal_form(self.n_nodes, [self.edges[edge] for edge in contributing])

    def __str__(self) -> str:
        return write_operations(self.edges)

    def __repr__(self) -> str:
        return f"Cell.from_string({str(self)!r})"


def _check_n_nodes(n_nodes: int) -> int:
    if isinstance(n_nodes, bool) or not isinstance(n_nodes, int) or n_nodes < 2:
        raise InputError(f"n_nodes must be an integer of at least 2, not {n_nodes!r}")
    return n_nodes


def _operation_at(index: SupportsIndex, edge: int) -> str:
    try:
        position = operator.index(index)
    except TypeError:
        position = -1
    if not 0 <= position < len(OPERATIONS):
        raise InputError(
            f"edge {edge}: {index!r} is not an operation index; give an integer from 0 to "
            f"{len(OPERATIONS) - 1} ({', '.join(OPERATIONS)})"
        )
    return OPERATIONS[position]
