"""The updates of ENAS against plain ones, what evaluates a cell, and whole searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from proxysample.errors import InputError
from proxysample_nas.searchers import (
    ENAS,
    SearchCollapseWarning,
    enas,
    enas_updates,
)
from proxysample_nas.searchers.controller import Controller
from proxysample_nas.searchers.enas_updates import (
    ControllerState,
    evaluate,
    measuring,
    update_controller,
    update_shared_weights,
)
from proxysample_nas.searchers.state import RunOperations
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.optimization import DivergenceError

from ..space.reference_supernet import (
    ReferenceSupernet,
    copy_weights,
    paired_parameters,
    paired_statistics,
)
from .prepared import SMALL_SEARCH, generator_of
from .reference_enas import ControllerTraining, child_step

Batch = tuple[Tensor, Tensor]
LEARNING_RATE = 0.05


def small_state(
    n_nodes: int = 4, track: bool = True, *, as_the_authors: bool = False
) -> tuple[ControllerState, ReferenceSupernet]:
    """Give a search's state, and its supernet once more written out plainly, in float64."""
    generator = generator_of(0)
    options = {"channels": 2, "cells_per_stage": 1, "n_classes": 3, "in_channels": 1}
    options |= {"track_running_stats": track, "conv_bias": as_the_authors}
    supernet = Supernet(n_nodes, **options, generator=generator).double()
    controller = Controller(n_edges(n_nodes), generator=generator).double()
    plain = ReferenceSupernet(n_nodes, **options).double()
    copy_weights(supernet, plain)
    return ControllerState(
        supernet,
        controller,
        torch.optim.SGD(
            supernet.parameters(), LEARNING_RATE, 0.9, weight_decay=2.5e-4, nesterov=True
        ),
        torch.optim.Adam(controller.parameters(), 1e-2, betas=(0.0, 0.999), eps=1e-3),
        {"operations": generator_of(5)},
        run=RunOperations(supernet) if as_the_authors else None,
    ), plain


def batches(n: int) -> list[Batch]:
    generator = generator_of(1)
    return [
        (
            torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64),
            torch.randint(3, (6,), generator=generator),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize("clip", [5.0, 0.3])
@pytest.mark.parametrize("n_nodes", [4, 5])
@pytest.mark.parametrize(("track", "as_the_authors"), [(True, False), (False, False), (True, True)])
def test_shared_weights_equal_the_plain_derivation(
    n_nodes: int, clip: float, track: bool, as_the_authors: bool
) -> None:
    state, plain = small_state(n_nodes, track, as_the_authors=as_the_authors)
    optimizer = torch.optim.SGD(
        plain.parameters(), LEARNING_RATE, 0.9, weight_decay=2.5e-4, nesterov=True
    )
    cells = state.controller.sample(5, generator_of(2)).operations.tolist()
    for batch, operations in zip(batches(5), cells, strict=True):
        update_shared_weights(state, batch, operations, gradient_clip=clip)
        child_step(plain, optimizer, batch, operations, clip, as_the_authors=as_the_authors)
    # In evaluation mode, too: there the authors' biases are seen.
    (batch,) = batches(1)
    with measuring(state.supernet, "paper"):
        logits = state.supernet.forward_sampled(batch[0], cells[0])
    expected = plain.eval().forward_sampled(batch[0], cells[0])
    if track:
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    pairs = paired_parameters(state.supernet, plain)
    pairs |= {f"{k} (statistic)": v for k, v in paired_statistics(state.supernet, plain).items()}
    for name, (mine, expected) in pairs.items():
        torch.testing.assert_close(
            mine, expected, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("clip", [5.0, 1e-3])
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_a_controller_update_equals_the_plain_one(protocol: str, clip: float) -> None:
    """The supernet's accuracies, the loss, the clipped gradient and Adam's step together."""
    state, plain = small_state(track=protocol == "paper")
    copied = small_state()[0].controller
    optimizer = torch.optim.Adam(copied.parameters(), 1e-2, betas=(0.0, 0.999), eps=1e-3)
    reference = ControllerTraining(copied, optimizer, 0.05, clip)
    own = batches(4)
    cells = copied.sample(4, generator_of(5)).operations.tolist()
    if protocol == "paper":
        # Statistics of some training, so that they differ from the batches'.
        plain.train()
        plain.forward_sampled(own[0][0], [3] * 6)
        for target, source in paired_statistics(state.supernet, plain).values():
            target.copy_(source)
        plain.eval()
    with torch.no_grad():
        logits = [plain.forward_sampled(x, c) for (x, _), c in zip(own, cells, strict=True)]
    accuracies = [
        float((one.argmax(dim=1) == y).double().mean())
        for one, (_, y) in zip(logits, own, strict=True)
    ]
    with measuring(state.supernet, protocol):
        result, outcomes = update_controller(
            state,
            own,
            0.3,
            protocol=protocol,
            entropy_weight=0.05,
            decay=0.99,
            gradient_clip=clip,
        )
    if protocol == "paper":
        expected = reference.paper_epoch(cells, accuracies, 4, 0.3)[-1]
    else:
        expected = reference.default_update(cells, accuracies, 0.3)
    assert (outcomes[:, 1] / 6).tolist() == pytest.approx(accuracies)
    assert len(set(accuracies)) > 1
    assert result.baseline == pytest.approx(expected, rel=1e-9)
    for mine, other in zip(state.controller.parameters(), copied.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def spoil_statistics(supernet: Supernet) -> None:
    for name, buffer in supernet.named_buffers():
        if name.endswith("running_mean"):
            buffer += 3.0


@pytest.mark.parametrize(("protocol", "reads"), [("default", False), ("paper", True)])
def test_what_normalises_a_cell_that_is_evaluated(protocol: str, reads: bool) -> None:
    state, _ = small_state()
    [batch] = batches(1)
    operations = [3, 1, 2, 4, 1, 3]

    def evaluated() -> float:
        with measuring(state.supernet, protocol):
            return float(evaluate(state.supernet, batch, operations)[0])

    before = [buffer.clone() for buffer in state.supernet.buffers()]
    first = evaluated()
    for buffer, value in zip(state.supernet.buffers(), before, strict=True):
        assert torch.equal(buffer, value)
    assert state.supernet.training
    spoil_statistics(state.supernet)
    assert (evaluated() != first) == reads


def small_search(**changes: Any) -> ENAS:
    own = {"controller_updates": 2, "controller_samples": 3, "n_candidates": 4}
    return ENAS(**(SMALL_SEARCH | own | changes))


def test_the_learning_rate_oscillates(proxy: Any) -> None:
    searcher = small_search(epochs=6, learning_rate_period=2, controller_updates=1)
    rates = [record.learning_rate for record in searcher.search(proxy).history]
    middle = (0.05 + 0.0005) / 2
    assert rates == pytest.approx([0.05, middle, 0.0005, middle, 0.05, middle])


def rewarding(operation: str) -> Any:
    """Make an evaluation in which the share of an operation among the edges is the accuracy."""

    def stand_in(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
        share = Cell.from_indices(operations).operations.count(operation) / len(operations)
        return torch.tensor([1.0, share * len(batch[1])], dtype=torch.float64)

    return stand_in


@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_the_controller_learns_what_is_rewarded(
    proxy: Any, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(enas_updates, "evaluate", rewarding("avg_pool_3x3"))
    monkeypatch.setattr(enas, "evaluate", rewarding("avg_pool_3x3"))
    searcher = small_search(
        protocol=protocol, controller_updates=15, controller_samples=10, epochs=3,
        controller_learning_rate=0.03, batch_size=64,
    )  # fmt: skip
    result = searcher.search(proxy, proxy)
    rewards = [record.details["reward"] for record in result.history]
    pool = NAS_BENCH_201.index("avg_pool_3x3")
    assert result.history[-1].cell.indices.count(pool) == 3
    assert min(row[pool] for row in result.history[-1].architecture_weights) > 0.5
    assert rewards[-1] > rewards[0] + 0.3
    entropies = [record.details["entropy"] for record in result.history]
    assert entropies[-1] < entropies[0] < 3 * math.log(5)


def test_the_history_tells_of_the_sampled_cells(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean reward, by hand: every cell is right on all samples, or on none."""
    right = iter([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])

    def stand_in(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
        n_samples = len(batch[1])
        return torch.tensor([2.0 * n_samples, next(right) * n_samples], dtype=torch.float64)

    monkeypatch.setattr(enas_updates, "evaluate", stand_in)
    result = small_search(epochs=1, entropy_weight=0.0, baseline_decay=0.5).search(proxy)
    [record] = result.history
    assert record.architecture_loss == pytest.approx(2.0)
    assert record.details["reward"] == pytest.approx(4 / 6)
    # 1/3 -> 2/3 -> 1/3 -> 1/6 by the first three rewards, then thrice halfway to 1.
    assert record.details["baseline"] == pytest.approx(1 - (5 / 6) / 8)
    # Batches of 32, 32, 32, 4, and anew from there: 32, 32.
    assert record.architecture_accuracy == pytest.approx(100 * (32 + 4 + 32 + 32) / 164)


def test_the_authors_baseline_is_carried_from_epoch_to_epoch(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[float | None] = []

    def record(state: Any, own: Any, baseline: float | None, **options: Any) -> Any:
        carried.append(baseline)
        return update_controller(state, own, baseline, **options)

    monkeypatch.setattr(enas_updates, "update_controller", record)
    for protocol in ("paper", "default"):
        result = small_search(protocol=protocol).search(proxy, proxy)
        first, second = (record.details["baseline"] for record in result.history)
        if protocol == "paper":
            assert carried == [None, None, first, first]
            assert 0.98 * first <= second <= 0.99 * first + 0.01 * 1.001
        else:
            # Here it moves with every update, and goes on in the second epoch.
            assert carried[0] is None
            assert carried[2] == first
            assert len(set(carried)) == 4
        carried.clear()


def test_the_final_choice_judges_on_all_architecture_data(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[Sequence[int]] = []

    def record(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
        evaluated.append(operations)
        return evaluate(supernet, batch, operations)

    monkeypatch.setattr(enas, "evaluate", record)
    result = small_search(n_candidates=30, epochs=1).search(proxy)
    selection = result.final_choice
    assert selection is not None
    assert {one.n_samples for one in selection.candidates} == {100}
    cells = [one.cell for one in selection.candidates]
    # Of 125 cells some of 30 samples come twice; they are evaluated once.
    assert len(set(cells)) == len(cells) < 30
    assert evaluated == [cell.indices for cell in cells for _ in range(4)]
    best = max(one.accuracy for one in selection.candidates)
    assert result.cell == next(one.cell for one in selection.candidates if one.accuracy == best)
    assert result.seconds > sum(record.seconds for record in result.history)


def test_the_final_choice_of_the_authors_judges_on_one_batch_each(proxy: Any) -> None:
    result = small_search(protocol="paper", n_candidates=7, epochs=1).search(proxy, proxy)
    assert result.final_choice is not None
    # Passes of 200 samples in batches of 32.
    assert [one.n_samples for one in result.final_choice.candidates] == [32] * 6 + [8]


def test_candidates_are_not_augmented_in_the_default(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def record(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
        seen.append(batch[0])
        return evaluate(supernet, batch, operations)

    monkeypatch.setattr(enas, "evaluate", record)
    small_search(n_candidates=2, epochs=1, random_state=1).search(proxy, proxy)
    whole = torch.cat(seen[:7])
    assert whole.shape == (200, 1, 8, 8)
    assert torch.equal(torch.cat(seen[7:14]), whole)
    # Normalised pixels of a channel: mean 0, deviation 1, up to what a shift would cut off.
    assert float(whole.mean()) == pytest.approx(0, abs=1e-4)
    assert float(whole.std()) == pytest.approx(1, abs=1e-3)


def test_shared_weights_learn(digits: Any) -> None:
    searcher = small_search(channels=4, epochs=3, augmentation=None, learning_rate=0.1)
    history = searcher.search(digits.train, digits.test).history
    assert history[-1].train_loss < 0.8 * history[0].train_loss
    assert history[-1].architecture_accuracy > 30


def test_a_collapse_is_warned_of_at_the_end(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enas, "evaluate", rewarding("skip_connect"))
    with pytest.warns(SearchCollapseWarning, match="after epoch 2, 3 of 3 edges") as caught:
        small_search(n_candidates=500).search(proxy)
    assert len(caught) == 1
    assert "track_running_stats" not in str(caught[0].message)


def test_the_warning_names_the_cure_of_the_paper_s_protocol(
    digits: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enas, "evaluate", rewarding("skip_connect"))
    with pytest.warns(SearchCollapseWarning, match="Remedies .*: track_running_stats=False, few"):
        small_search(n_candidates=500, protocol="paper").search(proxy, digits.test)


def test_divergence_names_epoch_and_learning_rate(proxy: Any) -> None:
    with pytest.raises(DivergenceError, match=r"epoch 1 at learning rate 1e\+30"):
        small_search(learning_rate=1e30, gradient_clip=None).search(proxy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate_period": 0}, "learning_rate_period must be a positive integer"),
        ({"controller_hidden_size": 0}, "controller_hidden_size must be"),
        ({"controller_layers": 0.5}, "controller_layers must be"),
        ({"controller_updates": 0}, "controller_updates must be"),
        ({"controller_samples": -1}, "controller_samples must be"),
        ({"n_candidates": 0}, "n_candidates must be"),
        ({"controller_temperature": 0}, "controller_temperature must be a positive number"),
        ({"controller_tanh_constant": 0}, "controller_tanh_constant must be a positive number"),
        ({"controller_epsilon": 0.0}, "controller_epsilon must be a positive number"),
        (
            {"controller_gradient_clip": 0},
            "controller_gradient_clip must be a positive number or None, not 0; None",
        ),
        ({"controller_learning_rate": -1}, "controller_learning_rate must be a finite"),
        ({"controller_betas": (0.0, 1.0)}, "controller_betas must be"),
        ({"entropy_weight": "x"}, "entropy_weight must be a finite"),
        ({"baseline_decay": 1.0}, "must be a number from 0 to below 1, not 1.0; .* take 0.99"),
        (
            {"gradient_clip": 0},
            "gradient_clip must be a positive number or None, not 0; None is for no",
        ),
        ({"minimum_learning_rate": 0.1}, "exceeds learning_rate=0.05"),
    ],
)
def test_bad_parameters_say_what_to_do(proxy: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_search(**changes).search(proxy)
