"""The operations that an edge can have, as a table, and the search spaces made of them.

Nothing here needs torch before a module is built, so that cells are read and drawn without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from proxysample.checks import as_tuple
from proxysample.errors import InputError, unknown_name
from proxysample.printing import shown
from proxysample.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from proxysample_nas.space.cell import Cell

Kind = Literal["zero", "identity", "pool", "convolution", "module"]
Builder = Callable[[int, bool, bool], "nn.Module"]
"""From channels, `affine` and `track_running_stats` to the module of one edge."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Operation:
    """What an edge of a cell can compute, and all that networks, reports and drawings need of it.

    Parameters
    ----------
    name : str
        As in a cell's string: letters, digits, ``_`` and ``-``.
    kind : {"zero", "identity", "pool", "convolution", "module"}
        How it is run. ``"zero"`` gives nothing and ``"identity"`` its input. ``"pool"`` is any
        function without parameters; all edges out of a node share its result. ``"convolution"``
        is ReLU, convolution and BatchNorm; all edges out of a node run as one. ``"module"`` is
        any other, with parameters of its own on every edge.
    colour : str
        Of its arrows and pies, such as ``"#cc79a7"``.
    label : str
        What drawings call it; by default its name.
    kernel_size : int, optional
        Of a convolution: the odd side of its kernel.
    builder : callable, optional
        Of a pool or a module: ``builder(channels, affine, track_running_stats)`` makes the
        ``nn.Module`` of one edge, which keeps the shape (b, channels, h, w) and must not change
        its input in place. The last two say whether its BatchNorm has a learnable scale and
        shift, and running statistics: always in the network that evaluates a cell, and in a
        supernet as that is set.

    Raises
    ------
    InputError
        If a value cannot be used, or a kind lacks what it needs.

    Examples
    --------
    >>> Operation("nor_conv_5x5", "convolution", "#cc79a7", label="5x5 Conv", kernel_size=5)
    Operation(name='nor_conv_5x5', kind='convolution', colour='#cc79a7', label='5x5 Conv',
    kernel_size=5)
    """

    name: str
    kind: Kind
    colour: str
    label: str = ""
    kernel_size: int | None = None
    builder: Builder | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f"operation {shown(self.name)}"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(
                f"{where}: a name consists of letters, digits, '_' and '-', such as 'max_pool_3x3'"
            )
        if self.kind not in get_args(Kind):
            raise InputError(f"{where}: {unknown_name('kind', self.kind, get_args(Kind))}")
        if not isinstance(self.colour, str) or not _COLOUR.fullmatch(self.colour):
            raise InputError(
                f"{where}: a colour is written like '#cc79a7', not {shown(self.colour)}"
            )
        if (self.kernel_size is not None) != (self.kind == "convolution"):
            raise InputError(
                f"{where}: a convolution needs a kernel_size, and no other kind has one"
            )
        if self.kernel_size is not None and not _is_odd_size(self.kernel_size):
            raise InputError(
                f"{where}: kernel_size must be a positive odd integer, so that the image keeps its "
                f"size, not {shown(self.kernel_size)}"
            )
        if callable(self.builder) != self.is_built:
            raise InputError(
                f"{where}: a pool or a module needs a builder, a function of (channels, affine, "
                "track_running_stats), and no other kind has one"
            )
        if not self.label:
            object.__setattr__(self, "label", self.name)

    @property
    def has_parameters(self) -> bool:
        """Whether it has parameters that training changes."""
        return self.kind in ("convolution", "module")

    @property
    def is_runnable(self) -> bool:
        """Whether more is known of it than a store tells."""
        return self.builder is not _unregistered

    @property
    def is_built(self) -> bool:
        """Whether its module comes from `builder`."""
        return self.kind in ("pool", "module")


def _is_odd_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0 and value % 2 == 1


def _average_pool(_channels: int, _affine: bool, _track_running_stats: bool) -> nn.Module:
    from proxysample_nas.space.layers import AveragePool

    return AveragePool()


_BUILT_IN = (
    Operation("none", "zero", "#b8bfc6", "Zero"),
    Operation("skip_connect", "identity", "#0072b2", "Skip"),
    Operation("nor_conv_1x1", "convolution", "#e69f00", "1x1 Conv", kernel_size=1),
    Operation("nor_conv_3x3", "convolution", "#d55e00", "3x3 Conv", kernel_size=3),
    Operation("avg_pool_3x3", "pool", "#009e73", "3x3 Avg", builder=_average_pool),
)
"""In the order of NAS-Bench-201, under the names of the paper, in colours of Okabe & Ito (2008),
which colour-blind readers can tell apart."""

OPERATIONS: Registry[Operation] = Registry(
    "operation",
    "proxysample.operations",
    {operation.name: operation for operation in _BUILT_IN},
    base="proxysample_nas.space.operations:Operation",
)


# What stores tell of operations that nobody has registered here, to read cells and draw them.
_DESCRIBED: dict[str, Operation] = {}
_WRITTEN = ("name", "kind", "colour", "label", "kernel_size")


def described_operations(names: Iterable[str]) -> list[dict[str, Any]]:
    """Write what reading and drawing cells needs of operations, those that are none of ours."""
    own = [get_operation(name) for name in names if not OPERATIONS.is_built_in(name)]
    return [{one: getattr(operation, one) for one in _WRITTEN} for operation in own]


def read_described_operations(written: Iterable[Mapping[str, Any]]) -> None:
    """Know operations by what `described_operations` wrote, where none is registered."""
    for values in written:
        if not isinstance(values, Mapping) or set(values) != set(_WRITTEN):
            raise InputError(f"an operation is told as {shown(values)}")
        is_built = values["kind"] in ("pool", "module")
        operation = Operation(**values, builder=_unregistered if is_built else None)
        if not isinstance(operation.label, str):
            raise InputError(f"operation {operation.name!r} has the label {shown(operation.label)}")
        if operation.name in OPERATIONS:
            continue
        known = _DESCRIBED.setdefault(operation.name, operation)
        if any(getattr(known, one) != values[one] for one in _WRITTEN):
            raise InputError(
                f"the operation {operation.name!r} is another one here than in a store that was "
                "read before; read one of them in a process of its own, or register the operation"
            )


def _unregistered(_channels: int, _affine: bool, _track_running_stats: bool) -> nn.Module:
    raise InputError("it is known from a store alone")


def refuse_described(names: Iterable[str]) -> None:
    """Raise `InputError` for an operation that can be read and drawn, and not run."""
    for name in names:
        if not get_operation(name).is_runnable:
            raise InputError(
                f"the operation {name!r} cannot be run from the store alone: register it before "
                "(proxysample.register), or name the module that does by --import MODULE"
            )


def list_operations() -> list[str]:
    """List the names of all operations: ours, then those registered, then those of plug-ins.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_operations()[:5]
    ['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']
    """
    return list(OPERATIONS)


def get_operation(name: str) -> Operation:
    """Look an operation up by its name.

    Parameters
    ----------
    name : str
        One of `list_operations`.

    Returns
    -------
    Operation

    Raises
    ------
    InputError
        If none is known by it; the message suggests the nearest.

    Examples
    --------
    >>> get_operation("nor_conv_3x3").kernel_size
    3
    """
    given: object = name
    if isinstance(given, str) and name in _DESCRIBED and name not in OPERATIONS:
        return _DESCRIBED[name]
    if not isinstance(given, str) or name not in OPERATIONS:
        unknown = unknown_name("operation", name, OPERATIONS)
        raise InputError(
            f"{unknown}. One of your own has to be registered first: register(...), or "
            "--import MODULE of a command"
        )
    operation = OPERATIONS.get(name)
    if operation.name != name:
        raise InputError(
            f"the operation {operation.name!r} is registered as {name!r}; its id has to be its name"
        )
    return operation


def in_fixed_order(names: Iterable[str]) -> list[str]:
    """Sort operations in an order that does not depend on when each was registered.

    Examples
    --------
    >>> in_fixed_order({"avg_pool_3x3", "skip_connect"})
    ['skip_connect', 'avg_pool_3x3']
    """
    first = [operation.name for operation in _BUILT_IN]
    return sorted(
        names, key=lambda name: (first.index(name) if name in first else len(first), name)
    )


@dataclass(frozen=True, init=False, repr=False)
class SearchSpace:
    """The operations that a search chooses from on every edge.

    Iterating gives every `Operation`. Two spaces are equal when they have the same operations in
    the same order, which is the order of every index and of every row of probabilities.

    Parameters
    ----------
    operations : iterable of str or Operation
        Two or more that are registered.

    Raises
    ------
    InputError
        If one is unknown, not registered or given twice, or there are fewer than two.

    Examples
    --------
    >>> space = SearchSpace(["none", "skip_connect", "nor_conv_3x3"])
    >>> space
    SearchSpace.of('none+skip_connect+nor_conv_3x3')
    >>> space.index("nor_conv_3x3"), len(space)
    (2, 3)
    """

    operations: tuple[str, ...]

    def __init__(self, operations: Iterable[str | Operation]) -> None:
        given: object = operations
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise InputError(
                "a search space is made of a list of operations, such as ['none', 'nor_conv_3x3'], "
                f"not {shown(given)}; SearchSpace.of reads 'none+nor_conv_3x3'"
            )
        names: list[str] = []
        for name in map(_registered_name, as_tuple("operations", given)):
            if name in names:
                raise InputError(f"a search space has the operation {name!r} twice; leave one out")
            names.append(name)
        object.__setattr__(self, "operations", tuple(names))
        if len(names) < 2:
            raise InputError(f"a search space needs two operations or more, not {len(names)}")

    @classmethod
    def of(cls, given: SearchSpace | str | Iterable[str | Operation]) -> SearchSpace:
        """Read what a searcher's `space` can be.

        Parameters
        ----------
        given : SearchSpace, str or iterable of str or Operation
            A string is ``"nas-bench-201"`` or names of operations, or both, joined by ``+``.

        Returns
        -------
        SearchSpace

        Raises
        ------
        InputError
            If it is none of these, or an operation is unknown.

        Examples
        --------
        >>> SearchSpace.of("nas-bench-201") == NAS_BENCH_201
        True
        >>> SearchSpace.of("none+skip_connect").operations
        ('none', 'skip_connect')
        """
        if isinstance(given, SearchSpace):
            return given
        if not isinstance(given, str):
            return cls(given)
        names: list[str] = []
        for word in given.split("+"):
            names += NAS_BENCH_201.operations if word == _DEFAULT_NAME else [word]
        return cls(names)

    @property
    def in_order_of_legend(self) -> tuple[Operation, ...]:
        """The operations as a legend lists them: what has parameters first, nothing at all last."""
        order = ("convolution", "module", "identity", "pool", "zero")
        return tuple(sorted(self, key=lambda one: (order.index(one.kind), -(one.kernel_size or 0))))

    def covering(self, cells: Iterable[Cell]) -> SearchSpace:
        """Give this space, and after it whatever other operations cells have.

        Examples
        --------
        >>> from proxysample_nas.space.cell import Cell
        >>> str(SearchSpace.of("none+nor_conv_3x3").covering([Cell.filled("skip_connect", 2)]))
        'none+nor_conv_3x3+skip_connect'
        """
        given = as_tuple("cells", cells)
        others = {name for cell in given for name in _operations_of(cell)} - set(self.operations)
        return SearchSpace([*self.operations, *in_fixed_order(others)])

    def index(self, operation: str) -> int:
        """Give the place of an operation in the order of this space."""
        if not isinstance(operation, str) or operation not in self.operations:
            raise InputError(
                f"the operation {shown(operation)} is not in the search space of "
                f"{', '.join(self.operations)}"
            )
        return self.operations.index(operation)

    def indices_of(self, cell: Cell) -> tuple[int, ...]:
        """Give the index of each edge's operation; `InputError` for one that is not of this space.

        Examples
        --------
        >>> from proxysample_nas.space.cell import Cell
        >>> NAS_BENCH_201.indices_of(Cell.filled("nor_conv_1x1", n_nodes=3))
        (2, 2, 2)
        """
        return tuple(map(self.index, _operations_of(cell)))

    def __contains__(self, operation: object) -> bool:
        name = operation.name if isinstance(operation, Operation) else operation
        return name in self.operations

    def __iter__(self) -> Iterator[Operation]:
        return map(get_operation, self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __str__(self) -> str:
        first = len(NAS_BENCH_201.operations)
        if self.operations[:first] == NAS_BENCH_201.operations:
            return "+".join([_DEFAULT_NAME, *self.operations[first:]])
        return "+".join(self.operations)

    def __repr__(self) -> str:
        return f"SearchSpace.of({str(self)!r})"


def _operations_of(cell: Cell) -> tuple[str, ...]:
    # The class itself is not to be had here: its module imports this one.
    if not hasattr(type(cell), "unique_form"):
        raise InputError(f"a cell must be a Cell, not {shown(cell)}")
    return cell.operations


def _registered_name(given: object) -> str:
    if isinstance(given, Operation):
        if given.name not in OPERATIONS or OPERATIONS.get(given.name) is not given:
            raise InputError(
                f"the operation {given.name!r} is not registered, so that no cell with it could be "
                "read; call proxysample.register(...) first"
            )
        return given.name
    return get_operation(given).name  # type: ignore[arg-type]  # which it checks


_DEFAULT_NAME = "nas-bench-201"

NAS_BENCH_201 = SearchSpace(_BUILT_IN)
"""The search space of the paper, and the default of everything."""
