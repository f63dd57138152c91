"""Selection by perturbation: each part by hand, and all of it against a plain loop."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Subset
from tqdm import tqdm

from proxysample.errors import InputError
from proxysample_nas.searchers import DARTS, SearchCollapseWarning, SearchResult
from proxysample_nas.searchers import perturbation as perturbation_module
from proxysample_nas.searchers.base import stream
from proxysample_nas.searchers.checkpoint import Checkpoint
from proxysample_nas.searchers.perturbation import (
    decide,
    outcome_without,
    select_by_perturbation,
)
from proxysample_nas.searchers.result import EdgeDecision
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.training.optimization import DivergenceError

from .prepared import SMALL_SEARCH, prepared
from .reference_darts import Network, Reference

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")


def small(**changes: Any) -> DARTS:
    own = {
        "architecture_learning_rate": 0.02,
        "selection": "perturbation",
        "perturbation_epochs": 2,
    }
    return DARTS(**(SMALL_SEARCH | own | changes))


@pytest.fixture(scope="module")
def few(digits: Any) -> Any:
    """Three batches where a validation set is given, two where half is held out for one."""
    return Subset(digits.train, range(96))


@pytest.fixture(scope="module")
def validation(digits: Any) -> Any:
    return Subset(digits.test, range(60))


def begin(searcher: DARTS, proxy: Any) -> tuple[Any, Any]:
    """Give the state and the batches that a search begins with."""
    data = prepared(proxy)
    return searcher._create_state(data, seed=0), searcher._create_batches(data)


def decided(edge: int, operation: str) -> EdgeDecision:
    return EdgeDecision(edge, operation, (0.0,) * 5, (0.0,) * 5)


def test_the_lowest_accuracy_wins_then_the_highest_loss_then_the_first() -> None:
    rows = [(2.0, 0.5), (1.0, 0.25), (3.0, 0.25), (3.0, 0.25), (9.0, 0.75)]
    decision = decide(4, torch.tensor(rows, dtype=torch.float64))
    assert decision == EdgeDecision(
        4, "nor_conv_1x1", (2.0, 1.0, 3.0, 3.0, 9.0), (50.0, 25.0, 25.0, 25.0, 75.0)
    )


def test_a_decided_edge_runs_one_operation_and_learns_no_more(proxy: Any) -> None:
    state, _ = begin(small(), proxy)
    state.decisions.append(decided(1, "avg_pool_3x3"))
    mixing = state.mixing(state.alphas)
    assert mixing[1].tolist() == [0, 0, 0, 0, 1]
    torch.testing.assert_close(mixing[[0, 2]], state.alphas.softmax(dim=1)[[0, 2]])
    factors = torch.arange(15.0).reshape(3, 5)
    (gradient,) = torch.autograd.grad((mixing * factors).sum(), [state.alphas])
    assert not gradient[1].any()
    assert gradient[[0, 2]].all()


def test_a_removal_is_measured_on_all_architecture_data_and_leaves_no_trace(proxy: Any) -> None:
    state, batches = begin(small(track_running_stats=True), proxy)
    before = {name: value.clone() for name, value in state.to_tensors().items()}
    measured = outcome_without(state, batches, 2, 3, tqdm(disable=True))
    for name, value in state.to_tensors().items():
        assert torch.equal(value, before[name]), name
    mixing = state.alphas.detach().softmax(dim=1)
    mixing[2, 3] = 0
    architecture = batches.data.architecture
    scale, shift = batches.data.normalization.scale_and_shift(architecture.images)
    loss = right = 0.0
    for start in range(0, 100, 32):
        images = architecture.images[start : start + 32] * scale + shift
        labels = architecture.labels[start : start + 32]
        with torch.no_grad():
            logits = state.supernet(images, mixing)
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        right += float((logits.argmax(dim=1) == labels).sum())
    assert measured.tolist() == pytest.approx([loss, right], rel=1e-5)


def in_double(state: Any, batches: Any) -> tuple[Any, Any]:
    """Turn all that is computed to float64, so that rounding decides nothing."""
    state.supernet.double()
    state.alphas.data = state.alphas.data.double()
    for loader in (batches._weights, batches._architecture, batches._plain_architecture):
        loader._scale, loader._shift = loader._scale.double(), loader._shift.double()
    return state, batches


class HardNetwork(Network):
    """The plain network, with one operation alone on the edges that are decided."""

    def __init__(self, network: Network, decisions: dict[int, int]) -> None:
        super().__init__(network.supernet, network.alphas.detach())
        self.decisions = decisions

    def mixing(self) -> Tensor:
        rows = list(self.alphas.softmax(dim=-1))
        for edge, operation in self.decisions.items():
            rows[edge] = torch.eye(5, dtype=torch.float64)[operation]
        return torch.stack(rows)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(self.supernet(batch[0], self.mixing()), batch[1])


def plain_selection(
    supernet: Any, alphas: Tensor, batches: Any, order: int, n_epochs: int, rate: float
) -> list[tuple[int, str, float]]:
    """Select as the paper says: give edge, operation and the loss without it, in order."""
    decisions: dict[int, int] = {}
    reference = Reference(supernet, alphas, rate)
    reference.network = network = HardNetwork(reference.network, decisions)
    reference.weight_optimizer = torch.optim.SGD(
        network.weights(), rate, 0.9, weight_decay=5e-4, nesterov=True
    )
    reference.architecture_optimizer = torch.optim.Adam(
        [network.alphas], 0.02, betas=(0.5, 0.999), weight_decay=1e-3
    )
    edges = stream(0, "perturbation")
    generators = [stream(0, name) for name in ("weight batches", "architecture batches")]
    remaining, told = list(range(len(alphas))), []
    while remaining:
        edge = remaining.pop(int(torch.randint(len(remaining), (), generator=edges)))
        scores = []
        for operation in range(5):
            probe = deepcopy(network)
            mixing = probe.mixing().detach().clone()
            mixing[edge, operation] = 0.0
            loss = right = 0.0
            for images, labels in batches.all_architecture():
                logits = probe.supernet(images, mixing).detach()
                loss += float(F.cross_entropy(logits, labels, reduction="sum"))
                right += float((logits.argmax(dim=1) == labels).sum())
            scores.append((right, -loss, operation))
        _, loss, decisions[edge] = min(scores)
        told.append((edge, NAS_BENCH_201.operations[decisions[edge]], -loss / 100))
        if remaining:
            for _ in range(n_epochs):
                for pair in batches.epoch(*generators):
                    reference.default_step(*pair, 5.0, order)
    return told


@pytest.mark.parametrize(("order", "n_epochs"), [(1, 2), (2, 1)])
def test_the_choice_equals_that_of_a_plain_loop(proxy: Any, order: int, n_epochs: int) -> None:
    searcher = small(order=order)
    state, batches = in_double(*begin(searcher, proxy))
    expected = plain_selection(state.supernet, state.alphas, batches, order, n_epochs, 0.05)
    kept = []
    selection = select_by_perturbation(
        state,
        batches,
        step=lambda *pair: searcher._step(state, *pair, epoch=0),
        n_epochs=n_epochs,
        epoch=0,
        learning_rate=0.05,
        keep=lambda: kept.append(len(state.decisions)),
        description="choosing",
        progress=False,
    )
    assert kept == [1, 2, 3]
    assert [(one.edge, one.operation) for one in selection.decisions] == [
        (edge, operation) for edge, operation, _ in expected
    ]
    for decision, (edge, operation, loss) in zip(selection.decisions, expected, strict=True):
        assert selection.cell.operations[edge] == operation
        assert decision.losses[NAS_BENCH_201.index(operation)] == pytest.approx(loss, rel=1e-9)
        assert min(decision.accuracies) == decision.accuracies[NAS_BENCH_201.index(operation)]


def without_times(result: SearchResult) -> SearchResult:
    selection = result.final_choice
    if selection is not None:
        decisions = tuple(replace(one, seconds=0.0) for one in selection.decisions)
        selection = replace(selection, seconds=0.0, decisions=decisions)
    history = tuple(replace(record, seconds=0.0) for record in result.history)
    return replace(result, history=history, final_choice=selection)


@pytest.mark.parametrize(("order", "protocol"), [(1, "default"), (2, "paper")])
def test_a_search_keeps_its_history_and_tells_of_the_choice(
    few: Any, validation: Any, order: int, protocol: str
) -> None:
    common: dict[str, Any] = {"order": order, "protocol": protocol}
    common["perturbation_epochs"] = 1
    plain = small(selection="argmax", **common).search(few, validation)
    result = small(**common).search(few, validation)
    assert plain.final_choice is None
    assert without_times(result).history == without_times(plain).history
    assert result.final_choice is not None
    assert sorted(one.edge for one in result.final_choice.decisions) == [0, 1, 2]
    for one in result.final_choice.decisions:
        assert result.cell.operations[one.edge] == one.operation
    # Two epochs, and one after either of the first two edges.
    assert result.n_steps == (2 + 2 * 1) * result.info.steps_per_epoch
    assert result.seconds > sum(record.seconds for record in result.history)
    assert SearchResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_the_order_of_the_edges_comes_from_the_seed(few: Any) -> None:
    orders = []
    for seed in (0, 0, 2):
        searcher = small(epochs=1, perturbation_epochs=1, random_state=seed)
        selection = searcher.search(few).final_choice
        assert selection is not None
        orders.append(tuple(one.edge for one in selection.decisions))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_training_begins_at_a_tenth_of_the_learning_rate_and_without_momentum(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, int]] = []
    original = DARTS._step

    def watched(self: DARTS, state: Any, *args: Any, **options: Any) -> Any:
        (group,) = state.weight_optimizer.param_groups
        seen.append((group["lr"], len(state.weight_optimizer.state)))
        return original(self, state, *args, **options)

    monkeypatch.setattr(DARTS, "_step", watched)
    small(learning_rate=0.5).search(proxy)
    assert [rate for rate, _ in seen[8:]] == pytest.approx([0.05] * 16)
    # Momentum is known from the second step on, after the search's first and the choice's.
    assert [index for index, (_, known) in enumerate(seen) if not known] == [0, 8]


class InterruptedSearchError(Exception):
    """Stands for whatever ends a process in the middle of the choice."""


def test_an_interrupted_choice_ends_with_the_same_bits(
    few: Any, validation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the stricter protocol, where a step needs what the one before has left.
    searcher = small(protocol="paper", gradient_clip=0.5)
    paths = [tmp_path / f"{name}.safetensors" for name in ("whole", "killed")]
    whole = searcher.search(few, validation, checkpoint=paths[0])
    # The search, the first edge with two epochs after it, the second with one of its two.
    left = 2 * 3 + (5 * 2 + 2 * 3) + 5 * 2 + 3

    def update(self: Any, n: int = 1) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise InterruptedSearchError

    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "update", update)
        with pytest.raises(InterruptedSearchError):
            searcher.search(few, validation, checkpoint=paths[1])
    saved = Checkpoint.load(paths[1])
    assert len(saved.history) == 2
    assert len(saved.tensors["decisions"]) == 1
    resumed = searcher.search(few, validation, checkpoint=paths[1])
    assert without_times(resumed) == without_times(whole)
    tensors, expected = (Checkpoint.load(path).tensors for path in paths[::-1])
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        compared = [value, expected[name]]
        if name == "decisions":
            # The third column is the seconds.
            compared = [rows[:, [0, 1, *range(3, 13)]] for rows in compared]
        assert torch.equal(*compared), name
    monkeypatch.setattr(tqdm, "update", update)
    assert searcher.search(few, validation, checkpoint=paths[1]) == resumed


def test_progress_is_shown_on_demand(few: Any, at_a_terminal: pytest.CaptureFixture[str]) -> None:
    small(epochs=1, perturbation_epochs=1, order=2, progress=True).search(few)
    shown = at_a_terminal.readouterr().err
    last = next(line for line in shown.split("\r")[::-1] if "choosing, darts-v2" in line)
    assert "100%" in last


def test_a_choice_that_collapses_is_warned_of(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def skips(edge: int, outcomes: Tensor, space: SearchSpace) -> EdgeDecision:
        return decided(edge, "skip_connect")

    monkeypatch.setattr(perturbation_module, "decide", skips)
    with pytest.warns(SearchCollapseWarning, match="3 of 3 edges are skip connections"):
        small(epochs=1, perturbation_epochs=1).search(proxy)


def test_a_divergence_is_told(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = perturbation_module.set_learning_rate

    def far_too_high(optimizer: Any, rate: float) -> None:
        original(optimizer, 1e30)

    monkeypatch.setattr(perturbation_module, "set_learning_rate", far_too_high)
    with pytest.raises(DivergenceError, match="lower learning_rate"):
        small(gradient_clip=None).search(proxy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "pertubation"}, "did you mean 'perturbation'"),
        ({"perturbation_epochs": 0}, "perturbation_epochs must be a positive integer"),
    ],
)
def test_bad_parameters_are_refused_before_the_data_is_read(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small(**changes).search("no dataset")
