"""Random search: the baseline that every other searcher has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from proxysample.checks import BOOLEAN, Constraints
from proxysample_nas.searchers.candidates import (
    CandidateData,
    Candidates,
    CandidateSearcher,
    check_n_cells,
    draw_cells,
)
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.result import EpochRecord, FinalChoice
from proxysample_nas.searchers.seeds import stream
from proxysample_nas.space.cell import Cell


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
        state.cells = draw_cells(
            self.n_samples,
            self.n_nodes,
            connected_only=self.connected_only,
            generator=stream(seed, "operations"),
            space=state.space,
        )
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
        check_n_cells(
            self.n_samples,
            self.n_nodes,
            connected_only=self.connected_only,
            space=self._search_space(),
        )
