"""A cell of the search space: one operation on every edge of a complete graph of nodes."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

from proxysample.checks import as_tuple, integer_from
from proxysample.errors import InputError
from proxysample.printing import shown
from proxysample_nas.space.notation import normal_form, read_operations, write_operations
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace, get_operation

if TYPE_CHECKING:
    import torch

    from proxysample_nas.space.network import CellNetwork


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


# Of half a million edges; no cell that can be searched has nearly as many.
MOST_NODES = 1 << 10


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


def all_cells(n_nodes: int, space: SearchSpace = NAS_BENCH_201) -> Iterator[Cell]:
    """Enumerate a search space lazily, ``len(space) ** n_edges(n_nodes)`` cells.

    Parameters
    ----------
    n_nodes : int
        Number of nodes: 4 gives the 15,625 cells of NAS-Bench-201, 5 gives 9,765,625.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Yields
    ------
    Cell
        Ascending in ``space.indices_of(cell)``, the last edge fastest.

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
    space = SearchSpace.of(space)
    chosen = itertools.product(space.operations, repeat=edge_count)
    return (Cell(operations) for operations in chosen)


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
        The name of one registered operation per edge, in the order of `edges_of`.

    Raises
    ------
    InputError
        If a name is unknown, or if the number of names fits no number of nodes.

    Examples
    --------
    >>> cell = Cell.from_string("|nor_conv_3x3~0|+|skip_connect~0|none~1|")
    >>> cell.n_nodes, cell.operations
    (3, ('nor_conv_3x3', 'skip_connect', 'none'))
    >>> cell.is_connected, cell.is_parameter_free, cell.is_collapsed
    (True, True, True)
    """

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        given: object = self.operations
        if isinstance(given, str):
            raise InputError(
                "Cell takes one operation name per edge; to parse a string use "
                f"Cell.from_string({shown(given)})"
            )
        operations = as_tuple("operations", given)
        object.__setattr__(self, "operations", operations)
        for edge, operation in enumerate(operations):
            try:
                get_operation(operation)
            except InputError as error:
                raise InputError(f"edge {edge}: {error}") from None
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
        avg_pool_3x3. One of your own has to be registered first: register(...), or --import MODULE
        of a command
        """
        return cls(read_operations(text))

    @classmethod
    def from_indices(
        cls, indices: Iterable[SupportsIndex], space: SearchSpace = NAS_BENCH_201
    ) -> Cell:
        """Build a cell from the index of each edge's operation in a search space.

        Parameters
        ----------
        indices : iterable of int
            One per edge, in the order of `edges_of`, each from 0 to ``len(space) - 1``. NumPy
            and PyTorch integers are taken too.
        space : SearchSpace, optional
            By default that of NAS-Bench-201.

        Returns
        -------
        Cell
            With ``space.indices_of(cell)`` equal to `indices`.

        Raises
        ------
        InputError
            If an index is not an integer of that range, or their number fits no number of nodes.

        Examples
        --------
        >>> str(Cell.from_indices([3, 1, 0]))
        '|nor_conv_3x3~0|+|skip_connect~0|none~1|'
        """
        space, given = SearchSpace.of(space), as_tuple("indices", indices)
        return cls(tuple(_operation_at(index, edge, space) for edge, index in enumerate(given)))

    @classmethod
    def filled(cls, operation: str, n_nodes: int) -> Cell:
        """Build the cell that has the same operation on every edge.

        Parameters
        ----------
        operation : str
            The name of a registered one; ``"skip_connect"`` gives the paper's local optimum
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
        """The index of each edge's operation in NAS-Bench-201.

        `SearchSpace.indices_of` gives it in another space; `InputError` where a cell has an
        operation of another.
        """
        return NAS_BENCH_201.indices_of(self)

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
        return sum(get_operation(name).kind == "identity" for name in self.operations)

    @property
    def is_connected(self) -> bool:
        """Whether a path without ``none`` leads from the input node to the output node."""
        return bool(self.contributing_edges)

    @property
    def is_parameter_free(self) -> bool:
        """Whether nothing with parameters lies on a path from the input node to the output node.

        Training such a cell changes nothing inside it. The paper says of the all-skip cell that
        it "does not contain any learnable parameter" (section 4.4.2) and of ENAS's cells of
        skips and pools the same (section 4.4.4). A convolution that the input does not reach, or
        that does not reach the output, is not counted: it never sees the image, or is never seen.

        The star in the paper's tables marks one such cell alone, the all-skip one: it is absent
        from ENAS's cells of skips and pools (Table 3).
        """
        return not any(
            get_operation(self.operations[edge]).has_parameters for edge in self.contributing_edges
        )

    @property
    def is_collapsed(self) -> bool:
        """Whether the input reaches the output, and nothing with parameters lies on the way.

        Such a cell is what a collapsed search ends in: skip connections and pools alone. A cell
        that is not connected is another matter: its network answers the same to every image.
        """
        return self.is_connected and self.is_parameter_free

    @property
    def contributing_edges(self) -> tuple[int, ...]:
        """Indices of the edges that lie on a path without ``none`` from input to output."""
        from_input = {0}
        edges = self.edges
        for edge in self.edges_that_pass:
            source, target, _ = edges[edge]
            if source in from_input:
                from_input.add(target)
        return tuple(edge for edge in self.edges_to_output if edges[edge][0] in from_input)

    @property
    def edges_to_output(self) -> tuple[int, ...]:
        """Indices of the edges, ``none`` aside, whose target has a path to the output node.

        The others cannot change what the cell computes.
        """
        to_output = {self.n_nodes - 1}
        kept = []
        edges = self.edges
        # Sorted by source, descending: every edge out of a node is seen before those into it.
        for edge in sorted(self.edges_that_pass, key=lambda edge: -edges[edge][0]):
            source, target, _ = edges[edge]
            if target in to_output:
                to_output.add(source)
                kept.append(edge)
        return tuple(sorted(kept))

    @property
    def edges_that_pass(self) -> tuple[int, ...]:
        """Indices of all edges but those of ``none``."""
        return tuple(
            edge
            for edge, operation in enumerate(self.operations)
            if get_operation(operation).kind != "zero"
        )

    def unique_form(self) -> str:
        """Return a key that is equal for cells which compute the same family of functions.

        See `proxysample_nas.space.notation` for the invariances that are taken.

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

    def network(
        self,
        n_classes: int,
        *,
        channels: int = 16,
        cells_per_stage: int = 5,
        in_channels: int = 3,
        generator: torch.Generator | None = None,
    ) -> CellNetwork:
        """Build the network that has this cell everywhere, with new weights.

        Parameters
        ----------
        n_classes : int
            Number of logits.
        channels : int, default=16
            Channels of the first stage; they double twice.
        cells_per_stage : int, default=5
            Cells in each of the three stages.
        in_channels : int, default=3
            Channels of the images, which can have any height and width.
        generator : torch.Generator, optional
            See `proxysample_nas.space.network.CellNetwork`.

        Returns
        -------
        CellNetwork
            A plain ``nn.Module``.

        Raises
        ------
        InputError
            If a size is not a positive integer.

        Examples
        --------
        >>> import torch
        >>> network = Cell.filled("nor_conv_3x3", n_nodes=4).network(n_classes=10, in_channels=1)
        >>> network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        """
        from proxysample_nas.space.network import CellNetwork

        return CellNetwork(self, channels, cells_per_stage, n_classes, in_channels, generator)

    def __str__(self) -> str:
        return write_operations(self.edges)

    def __repr__(self) -> str:
        return f"Cell.from_string({str(self)!r})"


def _check_n_nodes(n_nodes: int) -> int:
    integer_from(2, MOST_NODES).check("n_nodes", n_nodes)
    return int(n_nodes)


def _operation_at(index: SupportsIndex, edge: int, space: SearchSpace) -> str:
    try:
        position = operator.index(index)
    # Of no integer, or whatever anyone's object raises.
    except Exception:
        position = -1
    if not 0 <= position < len(space):
        raise InputError(
            f"edge {edge}: {shown(index)} is not an operation index; give an integer from 0 to "
            f"{len(space) - 1} ({', '.join(space.operations)})"
        )
    return space.operations[position]
