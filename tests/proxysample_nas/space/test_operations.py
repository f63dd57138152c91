"""The table of operations, search spaces, and what refuses an operation that cannot be run."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from proxysample import InputError, register
from proxysample_nas.searchers.candidates import check_n_cells, draw_cells, n_cells
from proxysample_nas.searchers.remedies import reason_to_stop
from proxysample_nas.searchers.result import EdgeDecision, EpochRecord
from proxysample_nas.searchers.state import decisions_from_tensor, decisions_to_tensor
from proxysample_nas.space import NAS_BENCH_201, Cell, Operation, SearchSpace, all_cells
from proxysample_nas.space.layers import AveragePool
from proxysample_nas.space.modules import build_module, try_operations
from proxysample_nas.space.operations import OPERATIONS, in_fixed_order

from .own_operations import CONVOLUTION, MAX_POOL, SEPARABLE, registered


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    with registered(MAX_POOL, CONVOLUTION, SEPARABLE):
        yield


def test_the_default_is_that_of_the_paper() -> None:
    assert NAS_BENCH_201.operations == (
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
    )
    assert [one.has_parameters for one in NAS_BENCH_201] == [False, False, True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "nas-bench-201",
        "nas-bench-201+max_pool_3x3+nor_conv_5x5",
        "none+nor_conv_5x5",
        "max_pool_3x3+nor_conv_1x1+none",
    ],
)
def test_a_space_is_written_as_it_is_read(text: str) -> None:
    space = SearchSpace.of(text)
    assert str(space) == text
    assert eval(repr(space)) == space
    assert SearchSpace.of(space) is space
    assert SearchSpace.of(space.operations) == SearchSpace.of(list(space)) == space
    for copied in (deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert copied == space
        assert hash(copied) == hash(space)


def test_a_space_is_asked_by_name_and_by_operation() -> None:
    space = SearchSpace(["none", MAX_POOL, "nor_conv_5x5"])
    assert [one.name for one in space] == list(space.operations)
    assert MAX_POOL in space
    assert "nor_conv_5x5" in space
    assert "skip_connect" not in space
    assert space.index("nor_conv_5x5") == 2
    with pytest.raises(InputError, match="'skip_connect' is not in the search space of none, max"):
        space.index("skip_connect")


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ("none+skip_connect", r"SearchSpace.of reads 'none"),
        (5, "a search space is made of a list of operations"),
        ([], "two operations or more, not 0"),
        (["none"], "two operations or more, not 1"),
        (["none", "none"], "has the operation 'none' twice"),
        (["none", "max_pool_3"], "did you mean 'max_pool_3x3'.* registered first"),
        (["none", ["none"]], r"unknown operation \['none'\]"),
        (
            ["none", Operation("dil_conv_3x3", "convolution", "#000000", kernel_size=3)],
            "'dil_conv_3x3' is not registered",
        ),
    ],
)
def test_what_makes_no_space_is_refused(operations: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SearchSpace(operations)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "max pool"}, "a name consists of letters"),
        ({"name": "max~pool"}, "a name consists of letters"),
        ({"name": "max.pool"}, "a name consists of letters"),
        ({"kind": "pol"}, "did you mean 'pool'"),
        ({"colour": "red"}, "written like '#cc79a7'"),
        ({"kernel_size": 3}, "no other kind has one"),
        ({"kind": "convolution", "builder": None}, "needs a kernel_size"),
        ({"kind": "convolution", "builder": None, "kernel_size": 4}, "positive odd integer"),
        ({"kind": "convolution", "builder": None, "kernel_size": True}, "positive odd integer"),
        ({"kind": "convolution", "kernel_size": 5}, "no other kind has one"),
        ({"kind": "module", "builder": None}, "needs a builder"),
        ({"builder": 3}, "needs a builder"),
        ({"kind": "identity"}, "no other kind has one"),
    ],
)
def test_an_operation_that_lacks_something_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    whole: dict[str, Any] = {
        "name": "max_pool_3x3",
        "kind": "pool",
        "colour": "#56b4e9",
        "builder": MAX_POOL.builder,
    }
    assert Operation(**whole).label == "max_pool_3x3"
    with pytest.raises(InputError, match=message):
        Operation(**(whole | changes))


def test_a_name_is_taken_once_but_a_definition_may_run_again() -> None:
    again = Operation(
        "max_pool_3x3", "pool", MAX_POOL.colour, MAX_POOL.label, builder=lambda *_: nn.Identity()
    )
    register(again)
    assert OPERATIONS.get("max_pool_3x3") is again
    for name in ("max_pool_3x3", "none"):
        with pytest.raises(InputError, match=f"there is an operation '{name}' already"):
            register(Operation(name, "zero", "#123456"))


def test_an_operation_goes_by_its_own_name() -> None:
    zero = Operation("zero", "zero", "#123456")
    OPERATIONS.register(zero, "nothing")
    try:
        with pytest.raises(InputError, match="'zero' is registered as 'nothing'"):
            SearchSpace(["nothing", "none"])
    finally:
        OPERATIONS.unregister("nothing")


def test_the_order_of_registration_does_not_count() -> None:
    names = ["sep_conv_3x3", "max_pool_3x3", "avg_pool_3x3", "none"]
    expected = ["none", "avg_pool_3x3", "max_pool_3x3", "sep_conv_3x3"]
    assert in_fixed_order(names) == in_fixed_order(reversed(names)) == expected


class Wrong(nn.Module):
    """What a builder may get wrong."""

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake

    def forward(self, images: torch.Tensor) -> Any:
        if self.mistake == "in place":
            return images.relu_()
        if self.mistake == "smaller":
            return images[:, :, ::2]
        if self.mistake == "one value":
            return images.mean(dim=(2, 3), keepdim=True)
        if self.mistake == "random":
            return nn.functional.dropout(images)
        if self.mistake == "two":
            return images, images
        if self.mistake in ("double", "detach"):
            return getattr(images, self.mistake)()
        if self.mistake == "infinite":
            return images / 0
        raise RuntimeError("it cannot")


def convolution(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 1)


SHARED = convolution(4)


@pytest.mark.parametrize(
    ("kind", "build", "message"),
    [
        ("pool", lambda _: Wrong("in place"), "changes its input in place"),
        ("pool", lambda _: nn.ReLU(inplace=True), "changes its input in place"),
        ("pool", lambda _: Wrong("smaller"), "must keep the shape"),
        ("pool", lambda _: Wrong("one value"), "must keep the shape"),
        ("pool", lambda _: Wrong("two"), "must keep the shape .* but makes tuple"),
        ("pool", lambda _: nn.MaxPool2d(2, stride=2), "must keep the shape"),
        ("pool", lambda _: Wrong("random"), "another output each time"),
        ("pool", lambda _: Wrong("raise"), "cannot be run on images of the shape .* it cannot"),
        ("pool", convolution, "its kind is 'module', not 'pool'"),
        ("pool", lambda n: nn.BatchNorm2d(n, affine=False), "its kind is 'module', not 'pool'"),
        ("module", lambda _: AveragePool(), "its kind is 'pool', not 'module'"),
        ("module", lambda n: nn.PReLU(n), "cannot initialise .* PReLU; build it of Conv2d"),
        ("module", lambda _: nn.Conv2d(3, 3, 1), "cannot be run on images"),
        ("module", lambda n: nn.LazyConv2d(n, 1), "its LazyConv2d has no weights before it is run"),
        ("module", lambda _: SHARED, "gives the same module again"),
        ("module", lambda n: convolution(n).requires_grad_(False), "that require no gradient"),
        ("module", lambda n: nn.Sequential(convolution(n), Wrong("detach")), "passes no gradient"),
        ("pool", lambda _: Wrong("double"), "makes torch.float64 of torch.float32"),
        ("pool", lambda _: Wrong("infinite"), "makes values that are not finite"),
        ("module", lambda _: "conv", "must return an nn.Module, not 'conv'"),
        ("module", lambda _: 1 / 0, "its builder failed for 4 channels: ZeroDivisionError"),
    ],
)
def test_what_no_network_could_run_is_refused_by_name(kind: Any, build: Any, message: str) -> None:
    wrong = Operation("wrong", kind, "#000000", builder=lambda channels, *_: build(channels))
    state = torch.random.get_rng_state()
    with registered(wrong):
        with pytest.raises(InputError, match=f"operation 'wrong'.*{message}"):
            try_operations(SearchSpace.of("nas-bench-201+wrong"))
        with pytest.raises(InputError, match=f"operation 'wrong'.*{message}"):
            Cell.filled("wrong", n_nodes=2).network(n_classes=2)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_cannot_be_run_on_a_later_stages_images_is_refused_by_name() -> None:
    padded = Operation(
        "padded",
        "pool",
        "#000000",
        builder=lambda *_: nn.Sequential(nn.ReflectionPad2d(3), nn.AvgPool2d(7, 1)),
    )
    with registered(padded):
        network = Cell.filled("padded", n_nodes=2).network(2, channels=2, cells_per_stage=1)
        assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 2)
        message = (
            r"operation 'padded' cannot be run on images of the shape \(2, 8, 2, 2\), .*stage 3"
        )
        with pytest.raises(InputError, match=message):
            network(torch.zeros(2, 3, 8, 8))


def test_only_what_has_a_builder_is_built() -> None:
    with pytest.raises(InputError, match="'nor_conv_5x5' is of kind 'convolution'"):
        build_module(CONVOLUTION, 4, affine=True, track_running_stats=True)
    assert isinstance(build_module(MAX_POOL, 4, True, True), nn.MaxPool2d)


SPACES = [
    "nas-bench-201",
    "none+nor_conv_5x5",
    "max_pool_3x3+nor_conv_1x1",
    "none+zero+max_pool_3x3",
]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("n_nodes", [2, 3])
def test_cells_of_a_space_are_counted_and_drawn(space: str, n_nodes: int) -> None:
    with registered(Operation("zero", "zero", "#123456")):
        chosen = SearchSpace.of(space)
        every = list(all_cells(n_nodes, chosen))
        connected = [cell for cell in every if cell.is_connected]
        assert len(set(every)) == n_cells(n_nodes, connected_only=False, space=chosen)
        assert len(connected) == n_cells(n_nodes, connected_only=True, space=chosen)
        assert [chosen.indices_of(cell) for cell in every] == sorted(map(chosen.indices_of, every))
        if len(connected) < 100:
            generator = torch.Generator().manual_seed(0)
            drawn = draw_cells(
                len(connected), n_nodes, connected_only=True, generator=generator, space=chosen
            )
            assert set(drawn) == set(connected)


@pytest.mark.parametrize("space", SPACES)
def test_more_cells_than_there_are_cannot_be_drawn(space: str) -> None:
    with registered(Operation("zero", "zero", "#123456")):
        chosen = SearchSpace.of(space)
        for n_nodes, connected_only in itertools.product((2, 3, 4, 6), (True, False)):
            there_are = n_cells(n_nodes, connected_only=connected_only, space=chosen)
            check_n_cells(there_are, n_nodes, connected_only=connected_only, space=chosen)
            with pytest.raises(InputError, match=f"since there are {there_are};"):
                check_n_cells(there_are + 1, n_nodes, connected_only=connected_only, space=chosen)


def test_cells_tell_what_their_operations_do() -> None:
    pools = Cell.from_string("|max_pool_3x3~0|+|none~0|skip_connect~1|")
    assert pools.is_connected
    assert pools.is_parameter_free
    assert pools.n_skip_connections == 1
    for name in ("nor_conv_5x5", "sep_conv_3x3"):
        assert not Cell.filled(name, n_nodes=3).is_parameter_free
    with registered(Operation("zero", "zero", "#123456"), Operation("same", "identity", "#123456")):
        assert not Cell.filled("zero", n_nodes=3).is_connected
        assert Cell.filled("same", n_nodes=3).n_skip_connections == 3
    with pytest.raises(InputError, match="unknown operation 'same'"):
        Cell.filled("same", n_nodes=3)


def test_indices_are_those_of_a_space() -> None:
    space = SearchSpace.of("nor_conv_5x5+none+max_pool_3x3")
    cell = Cell.from_indices([2, 0, 1], space)
    assert str(cell) == "|max_pool_3x3~0|+|nor_conv_5x5~0|none~1|"
    assert space.indices_of(cell) == (2, 0, 1)
    with pytest.raises(InputError, match=r"from 0 to 2 \(nor_conv_5x5, none, max_pool_3x3\)"):
        Cell.from_indices([3], space)
    with pytest.raises(InputError, match="'max_pool_3x3' is not in the search space"):
        _ = cell.indices


@pytest.mark.parametrize(
    ("text", "form"),
    [
        # Not linear, so that it does not distribute over a sum as average pooling does.
        (
            "|nor_conv_5x5~0|+|skip_connect~0|none~1|+|none~0|max_pool_3x3~1|max_pool_3x3~2|",
            "c1=max_pool_3x3(x); c2=nor_conv_5x5(x); c3=max_pool_3x3(c2); c1+c3",
        ),
        (
            "|nor_conv_5x5~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|max_pool_3x3~2|",
            "c1=nor_conv_5x5(x); c2=max_pool_3x3(x+c1); c2",
        ),
        # The same function of the same sum, wherever it stands; two modules are two functions.
        (
            "|skip_connect~0|+|none~0|none~1|+|max_pool_3x3~0|max_pool_3x3~1|none~2|",
            "c1=max_pool_3x3(x); 2*c1",
        ),
        (
            "|skip_connect~0|+|none~0|none~1|+|sep_conv_3x3~0|sep_conv_3x3~1|none~2|",
            "c1=sep_conv_3x3(x); c2=sep_conv_3x3(x); c1+c2",
        ),
    ],
)
def test_the_normal_form_knows_what_a_pool_is(text: str, form: str) -> None:
    assert Cell.from_string(text).unique_form() == form


def test_decisions_are_kept_in_the_order_of_the_space() -> None:
    space = SearchSpace.of("nor_conv_5x5+none+max_pool_3x3")
    decision = EdgeDecision(1, "max_pool_3x3", (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), 2.5)
    rows = decisions_to_tensor([decision], space)
    assert rows.tolist() == [[1, 2, 2.5, 1, 2, 3, 10, 20, 30]]
    assert decisions_from_tensor(rows, space) == [decision]


@pytest.mark.parametrize(("last", "stable"), [((0.5, 0.1, 0.4), True), ((0.4, 0.1, 0.5), False)])
def test_the_order_of_whatever_learns_stops_a_search(last: tuple[float, ...], stable: bool) -> None:
    space = SearchSpace.of("nor_conv_5x5+max_pool_3x3+sep_conv_3x3")
    history = [
        EpochRecord(epoch, Cell(("max_pool_3x3",)), (row,), 0.1, 1.0, 1.0, 1.0, 1.0, 1.0)
        for epoch, row in enumerate([(0.4, 0.3, 0.3), last])
    ]
    reason = reason_to_stop(history, stop_at_skips=None, stop_when_stable=1, space=space)
    assert (reason is not None) == stable
