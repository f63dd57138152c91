"""The grouped supernet against the plain one, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.space.supernet import Supernet, sample_cell
from tests.proxysample_nas.space.reference_supernet import (
    Pairs,
    ReferenceSupernet,
    copy_weights,
    paired_gradients,
    paired_parameters,
    paired_statistics,
)

from .own_operations import CONVOLUTION, MAX_POOL, SEPARABLE, registered

CHANNELS, N_CLASSES, BATCH, SIDE = 3, 5, 4, 8


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    with registered(MAX_POOL, CONVOLUTION, SEPARABLE):
        yield


def pair(
    n_nodes: int = 4, space: SearchSpace = NAS_BENCH_201, **options: bool
) -> tuple[Supernet, ReferenceSupernet]:
    """Build both nets in float64 with the same random weights, scales, shifts and statistics."""
    generator = torch.Generator().manual_seed(n_nodes)
    sizes = {"channels": CHANNELS, "cells_per_stage": 1, "n_classes": N_CLASSES}
    options = {"affine": False, "track_running_stats": True, "conv_bias": True, **options}
    supernet = Supernet(n_nodes, **sizes, **options, generator=generator, space=space).double()
    for tensor in itertools.chain(supernet.parameters(), supernet.buffers()):
        if tensor.ndim == 1:
            uniform = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.data.copy_(0.5 + uniform)
    reference = ReferenceSupernet(n_nodes, **sizes, **options, space=space).double()
    copy_weights(supernet, reference)
    return supernet, reference


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return images, torch.randint(N_CLASSES, (BATCH,), generator=generator)


def edge_weights(n_nodes: int, n_operations: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    size = n_edges(n_nodes), n_operations
    weights = torch.randn(size, generator=generator, dtype=torch.float64)
    return torch.softmax(weights, dim=1).requires_grad_()


def assert_equal(pairs: Pairs) -> None:
    assert pairs
    for name, (grouped, plain) in pairs.items():
        torch.testing.assert_close(
            grouped, plain, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )


def assert_step_equal(
    supernet: Supernet, reference: ReferenceSupernet, n_nodes: int, run: str, *arguments: object
) -> None:
    """Compare logits, every gradient and the statistics that one step leaves behind."""
    images, labels = batch()
    weights = [edge_weights(n_nodes, len(supernet.space)) for _ in range(2)]
    logits = []
    for net, weight in zip((supernet, reference), weights, strict=True):
        if run == "forward":
            logits.append(net(images, weight))
        else:
            logits.append(net.forward_sampled(images, arguments[0], weight, *arguments[1:]))
        F.cross_entropy(logits[-1], labels).backward()
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    assert_equal({"logits": tuple(logits), "edge weights": tuple(gradients)})
    assert_equal(paired_gradients(supernet, reference))
    assert_equal(paired_statistics(supernet, reference))


# Half of all combinations, in which any four of the five are combined in every way.
HALF = [(4 + sum(others) % 2, *others) for others in itertools.product([True, False], repeat=4)]


@pytest.mark.parametrize(
    ("n_nodes", "training", "track_running_stats", "affine", "conv_bias"), HALF
)
def test_mixture_equals_the_plain_supernet(
    n_nodes: int, training: bool, track_running_stats: bool, affine: bool, conv_bias: bool
) -> None:
    supernet, reference = pair(
        n_nodes, affine=affine, track_running_stats=track_running_stats, conv_bias=conv_bias
    )
    before = [tensor.clone() for tensor in supernet.buffers()]
    supernet.train(training)
    reference.train(training)
    assert_step_equal(supernet, reference, n_nodes, "forward")
    moved = [not torch.equal(a, b) for a, b in zip(before, supernet.buffers(), strict=True)]
    assert any(moved) == training


@pytest.mark.parametrize(
    ("n_nodes", "training", "track_running_stats", "affine", "scalar_trick"), HALF
)
def test_sample_equals_the_plain_supernet(
    n_nodes: int, training: bool, track_running_stats: bool, affine: bool, scalar_trick: bool
) -> None:
    supernet, reference = pair(n_nodes, affine=affine, track_running_stats=track_running_stats)
    supernet.train(training)
    reference.train(training)
    operations = [3, 1, 2, 4, 0, 3, 3, 2, 4, 1][: n_edges(n_nodes)]
    assert_step_equal(supernet, reference, n_nodes, "sampled", operations, scalar_trick)


SPACES = [
    "nas-bench-201+max_pool_3x3+nor_conv_5x5+sep_conv_3x3",
    # Each lacks something that the paper's space has.
    "sep_conv_3x3+nor_conv_5x5",
    "max_pool_3x3+skip_connect",
    "nor_conv_3x3+none",
    "nor_conv_1x1+nor_conv_5x5+nor_conv_3x3",
]


@pytest.mark.parametrize("operations", SPACES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_the_mixture_of_another_space_equals_the_plain_supernet(
    operations: str, training: bool, with_state: bool
) -> None:
    space = SearchSpace.of(operations)
    supernet, reference = pair(4, space, affine=with_state, track_running_stats=with_state)
    n_plain = sum(parameter.numel() for parameter in reference.parameters())
    assert sum(parameter.numel() for parameter in supernet.parameters()) == n_plain
    supernet.train(training)
    reference.train(training)
    assert_step_equal(supernet, reference, 4, "forward")


@pytest.mark.parametrize("operations", SPACES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scalar_trick", [True, False])
def test_a_sample_of_another_space_equals_the_plain_supernet(
    operations: str, training: bool, scalar_trick: bool
) -> None:
    space = SearchSpace.of(operations)
    generator = torch.Generator().manual_seed(len(operations))
    for affine in (True, False):
        supernet, reference = pair(4, space, affine=affine)
        supernet.train(training)
        reference.train(training)
        chosen = torch.randint(len(space), (6,), generator=generator).tolist()
        assert_step_equal(supernet, reference, 4, "sampled", chosen, scalar_trick)


@pytest.mark.parametrize("operation", ["max_pool_3x3", "nor_conv_5x5", "sep_conv_3x3"])
def test_every_edge_of_a_sample_runs_the_operation_it_was_given(operation: str) -> None:
    space = SearchSpace.of(SPACES[0])
    supernet, reference = pair(4, space)
    chosen = [space.index(operation)] * 6
    assert_step_equal(supernet, reference, 4, "sampled", chosen, False)


def test_a_supernet_names_an_operation_that_it_cannot_run(monkeypatch: Any) -> None:
    supernet, _ = pair(2)
    for cell in itertools.chain(*supernet.stages):
        monkeypatch.setitem(cell.kinds, "skip_connect", "spiking")
    message = "a supernet cannot run the operation 'skip_connect' of kind 'spiking'"
    with pytest.raises(InputError, match=message):
        supernet(batch()[0], edge_weights(2))
    with pytest.raises(InputError, match=message):
        supernet.forward_sampled(batch()[0], [1])


@settings(max_examples=40)
@given(
    operations=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    training=st.booleans(),
    scalar_trick=st.booleans(),
)
def test_any_sample_equals_the_plain_supernet(
    operations: list[int], training: bool, scalar_trick: bool
) -> None:
    supernet, reference = pair()
    supernet.train(training)
    reference.train(training)
    assert_step_equal(supernet, reference, 4, "sampled", operations, scalar_trick)


@pytest.mark.parametrize("operations", [[0] * 6, [3, 0, 0, 0, 0, 0], [0, 3, 0, 0, 2, 0]])
def test_a_sample_that_loses_its_input_still_equals_the_plain_supernet(
    operations: list[int],
) -> None:
    supernet, reference = pair(affine=True)
    assert_step_equal(supernet, reference, 4, "sampled", operations, False)


@pytest.mark.parametrize(("run_all", "n_run"), [(True, 4), (False, 2)])
def test_operations_without_effect_are_run_only_for_their_statistics(
    run_all: bool, n_run: int
) -> None:
    """Node 2 leads nowhere, so that what enters it could be left out."""
    cell = Cell.from_indices([3, 2, 4, 0, 1, 0])
    sample = sample_cell(cell, NAS_BENCH_201, None, scalar_trick=False, run_all=run_all)
    assert sum(map(len, sample.edges)) == n_run


def test_sample_without_gates_equals_gates_of_one() -> None:
    supernet, _ = pair()
    supernet.eval()
    images, _ = batch()
    operations = [3, 1, 2, 4, 1, 3]
    ones = torch.ones(6, 5, dtype=torch.float64)
    bare = supernet.forward_sampled(images, operations)
    torch.testing.assert_close(bare, supernet.forward_sampled(images, operations, ones))


def test_one_hot_mixture_equals_the_sample() -> None:
    supernet, _ = pair()
    supernet.eval()
    images, _ = batch()
    operations = torch.tensor([3, 1, 2, 4, 0, 3])
    mixing = F.one_hot(operations, len(NAS_BENCH_201)).double()
    torch.testing.assert_close(
        supernet(images, mixing), supernet.forward_sampled(images, operations.tolist())
    )


@pytest.mark.parametrize(("n_nodes", "published"), [(5, 2_778_406), (4, 1_698_706)])
def test_parameter_counts_are_the_published_ones(n_nodes: int, published: int) -> None:
    n_architecture = n_edges(n_nodes) * len(NAS_BENCH_201)
    for net in (Supernet(n_nodes, conv_bias=True), ReferenceSupernet(n_nodes)):
        n_weights = sum(parameter.numel() for parameter in net.parameters())
        assert n_weights + n_architecture == published


def test_every_parameter_of_the_reference_has_its_place_in_the_supernet() -> None:
    supernet, reference = pair(5, affine=True)
    n_plain = sum(parameter.numel() for parameter in reference.parameters())
    n_paired = sum(plain.numel() for _, plain in paired_parameters(supernet, reference).values())
    n_grouped = sum(parameter.numel() for parameter in supernet.parameters())
    assert n_plain == n_paired == n_grouped


def test_edge_tensors_write_through() -> None:
    supernet, reference = pair()
    cell = supernet.stages[1][0]
    cell.edge_tensors(4, "nor_conv_3x3")["convolution.weight"].fill_(7.0)
    for name, (grouped, plain) in paired_parameters(supernet, reference).items():
        changed = name == "cell 1 edge 4 nor_conv_3x3 convolution.weight"
        assert bool((grouped == 7.0).all()) == changed
        assert torch.equal(grouped, plain) != changed


def test_edge_tensors_of_a_module_write_through() -> None:
    supernet, reference = pair(space=SearchSpace.of(SPACES[0]))
    cell = supernet.stages[1][0]
    cell.edge_tensors(4, "sep_conv_3x3")["1.weight"].fill_(7.0)
    changed = [
        name
        for name, (grouped, _) in paired_parameters(supernet, reference).items()
        if bool((grouped == 7.0).all())
    ]
    assert changed == ["cell 1 edge 4 sep_conv_3x3.1.weight"]
    with pytest.raises(InputError, match="no parameters of an operation 'max_pool_3x3'"):
        cell.edge_tensors(4, "max_pool_3x3")


def test_functional_call_replaces_the_weights() -> None:
    supernet, _ = pair()
    supernet.eval()
    other, _ = pair()
    other.eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    images, _ = batch()
    mixing = edge_weights(4)
    replaced = torch.func.functional_call(
        supernet, dict(other.named_parameters()), (images, mixing)
    )
    assert torch.equal(replaced, other(images, mixing))
    assert not torch.equal(replaced, supernet(images, mixing))


def test_inputs_stay_as_they_are() -> None:
    supernet, _ = pair()
    images, _ = batch()
    mixing = edge_weights(4)
    copies = images.clone(), mixing.detach().clone()
    supernet(images, mixing)
    supernet.forward_sampled(images, [1] * 6, mixing, scalar_trick=True)
    assert torch.equal(images, copies[0])
    assert torch.equal(mixing, copies[1])


def test_weights_come_from_the_generator_alone() -> None:
    def build(seed: int | None) -> dict[str, torch.Tensor]:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return Supernet(3, 4, 1, 2, generator=generator).state_dict()

    state = torch.random.get_rng_state()
    first, again, other, fresh, fresher = (build(seed) for seed in (0, 0, 1, None, None))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if name.endswith("convolution.weight")]
    assert weights
    for one, two in ((first, other), (fresh, fresher)):
        assert not any(torch.equal(one[name], two[name]) for name in weights)


def test_state_is_contiguous_for_safetensors() -> None:
    assert all(tensor.is_contiguous() for tensor in Supernet(3, 4, 1, 2).state_dict().values())


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        (torch.ones(10, 5), r"mixing must be a floating point tensor of shape \(6, 5\)"),
        (torch.ones(6, 5, dtype=torch.int64), "floating point tensor .* not torch.int64"),
    ],
)
def test_wrong_mixing_is_refused(mixing: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Supernet(4, 4, 1, 2)(torch.zeros(2, 3, 8, 8), mixing)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([1] * 10, "must be 6 indices, one per edge, not 10"),
        ([1] * 5, "5 operations fit no number of nodes"),
        ([1] * 5 + [5], "edge 5: 5 is not an operation index"),
    ],
)
def test_wrong_sample_is_refused(operations: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Supernet(4, 4, 1, 2).forward_sampled(torch.zeros(2, 3, 8, 8), operations)


def test_scalar_trick_without_gates_is_refused() -> None:
    with pytest.raises(InputError, match="give gates as well"):
        Supernet(4, 4, 1, 2).forward_sampled(torch.zeros(2, 3, 8, 8), [1] * 6, scalar_trick=True)
