"""Searches whose cells are drawn: kept by accuracy after training, or by a score without any."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from tqdm import tqdm

from proxysample.checks import (
    BOOLEAN,
    POSITIVE_INTEGER,
    Constraint,
    Constraints,
    is_integer,
    one_of,
)
from proxysample_nas.data.normalization import Normalize
from proxysample_nas.searchers.base import Lengthening, stream
from proxysample_nas.searchers.candidates import (
    CandidateData,
    Candidates,
    CandidateSearcher,
    check_n_cells,
    draw_cells,
)
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.loop import EpochSearcher
from proxysample_nas.searchers.result import EpochRecord, FinalChoice
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import SearchSpace
from proxysample_nas.space.zero_cost import SCORES, ZeroCost, zero_cost_score


class RandomSearch(CandidateSearcher):
    """Draw cells uniformly, train each from scratch for a while, and keep the most accurate.

    The honest baseline (Li & Talwalkar 2019; NAS-Bench-201, section 5): no weights are shared
    and nothing is learned of one cell from another.

    Parameters
    ----------
    n_samples : int
        Number of distinct cells. With 1 nothing is trained: the drawn cell is the result, and
        its history is empty.
    connected_only : bool
        Whether to draw only cells with a path from input to output without ``none``; the others
        cannot learn.

    Notes
    -----
    The history has one record for each cell, in the order of drawing, after its last epoch:
    `train_loss` and `train_accuracy` are those of that epoch, `learning_rate` is that of the
    first, `architecture_accuracy` is measured without augmentation in evaluation mode, and the
    result is the cell where it is highest, the first of equals.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> digits = load_dataset("digits").train
    >>> searcher = RandomSearch(
    ...     n_nodes=3, channels=4, cells_per_stage=1, n_samples=2, epochs=1, random_state=0,
    ...     progress=False,
    ... )
    >>> result = searcher.search(digits)
    >>> best = max(result.history, key=lambda record: record.architecture_accuracy)
    >>> len(result.history), result.cell == best.cell
    (2, True)
    >>> RandomSearch(n_samples=1, random_state=0, progress=False).search(digits).n_steps
    0
    """

    connected_only: bool = True

    _constraints: ClassVar[Constraints] = {"connected_only": BOOLEAN}

    @property
    def id(self) -> str:
        """``"random"``."""
        return "random"

    def _n_epochs(self) -> int:
        return 0 if self.n_samples == 1 else self.n_samples

    def _create_state(self, data: SearchData, seed: int) -> Candidates:
        state = super()._create_state(data, seed)
        state.cells = _drawn(self, seed, state.space)
        return state

    def _next_cell(self, state: Candidates, history: Sequence[EpochRecord]) -> Cell:
        return state.cells[len(history)]

    def _choose(
        self,
        state: Candidates,
        batches: CandidateData,
        history: list[EpochRecord],
        keep: Callable[[], None],
    ) -> FinalChoice:
        if not history:
            return FinalChoice(state.cells[0], (), 0.0)
        return super()._choose(state, batches, history, keep)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _check_number(self)


class ZeroCostSearch(EpochSearcher[Candidates, CandidateData]):
    """Draw cells uniformly, score their untrained networks, and keep the highest score.

    What a search that trains has to beat (Abdelfattah et al. 2021; Mellor et al. 2021). The
    history of its result is empty.

    Parameters
    ----------
    score : {"synflow", "jacov", "naswot", "parameters", "flops"}
        See `proxysample_nas.space.zero_cost.zero_cost_score`.
    n_samples : int
        Number of distinct cells.
    connected_only : bool
        Whether to draw only cells with a path from input to output without ``none``.
    epochs : int
        0: nothing is trained.
    batch_size : int
        Images that ``"jacov"`` and ``"naswot"`` look at, drawn once from the weight data.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> searcher = ZeroCostSearch(
    ...     score="parameters", n_nodes=2, channels=4, cells_per_stage=1, n_samples=4,
    ...     random_state=0, progress=False,
    ... )
    >>> str(searcher.search(load_dataset("digits").train).cell)
    '|nor_conv_3x3~0|'
    """

    score: ZeroCost = "synflow"
    n_samples: int = 100
    connected_only: bool = True
    epochs: int = 0

    _constraints: ClassVar[Constraints] = {
        "score": one_of("zero-cost score", SCORES),
        "n_samples": POSITIVE_INTEGER,
        "connected_only": BOOLEAN,
        "epochs": Constraint(
            ("0, since nothing is trained",), lambda value: is_integer(value) and value == 0
        ),
    }

    @property
    def id(self) -> str:
        """``"zero-cost"``."""
        return "zero-cost"

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:  # noqa: ARG002
        """Count the cells."""
        return {"score": float(self.n_samples)}

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        return self._with(n_samples=1)

    def lengthenings(self) -> list[Lengthening]:
        """Say that a short search is made longer by more cells."""
        return [self._lengthening("n_samples")]

    def _n_epochs(self) -> int:
        return 0

    def _create_batches(self, data: SearchData) -> CandidateData:
        return CandidateData(data, 0)

    def _create_state(self, data: SearchData, seed: int) -> Candidates:  # noqa: ARG002
        space = self._search_space()
        cells = _drawn(self, seed, space)
        seeds = torch.randint(2**32, (2,), generator=stream(seed, "initialization")).tolist()
        return Candidates(seeds, space, cells)

    def _run_epoch(
        self,
        state: Candidates,  # noqa: ARG002
        batches: CandidateData,  # noqa: ARG002
        history: Sequence[EpochRecord],  # noqa: ARG002
        bar: tqdm[Any],  # noqa: ARG002
    ) -> EpochRecord:
        raise AssertionError("nothing is trained")

    def _choose(
        self,
        state: Candidates,
        batches: CandidateData,
        history: list[EpochRecord],  # noqa: ARG002
        keep: Callable[[], None],  # noqa: ARG002
    ) -> FinalChoice:
        start = time.perf_counter()
        data, (of_weights, of_images) = batches.data, state.seeds
        generator = torch.Generator().manual_seed(of_images)
        drawn = torch.randperm(len(data.weights), generator=generator)[: self.batch_size]
        images = data.weights.take(drawn).images
        images = Normalize(data.normalization).to(images.device)(images)
        scores = [
            zero_cost_score(
                cell,
                self.score,
                images,
                data.weights.n_classes,
                channels=self.channels,
                cells_per_stage=self.cells_per_stage,
                seed=of_weights,
            )
            for cell in state.cells
        ]
        best = max(range(len(scores)), key=scores.__getitem__)
        return FinalChoice(state.cells[best], (), time.perf_counter() - start)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _check_number(self)


def _check_number(searcher: RandomSearch | ZeroCostSearch) -> None:
    """Refuse to draw more cells than the space has."""
    check_n_cells(
        searcher.n_samples,
        searcher.n_nodes,
        connected_only=searcher.connected_only,
        space=searcher._search_space(),
    )


def _drawn(searcher: RandomSearch | ZeroCostSearch, seed: int, space: SearchSpace) -> list[Cell]:
    return draw_cells(
        searcher.n_samples,
        searcher.n_nodes,
        connected_only=searcher.connected_only,
        generator=stream(seed, "operations"),
        space=space,
    )
