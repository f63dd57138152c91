"""The searchers that train each cell from scratch, one after another, and cells drawn uniformly."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.checks import BOOLEAN, POSITIVE_INTEGER, Constraints, integer_from
from proxysample.errors import InputError
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers.base import Lengthening, stream
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.loop import TrainingSearcher
from proxysample_nas.searchers.result import Candidate, EpochRecord, FinalChoice, best_of
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.training.optimization import import_what_optimizers_import
from proxysample_nas.training.trainer import CellTrainer


def n_cells(n_nodes: int, *, connected_only: bool, space: SearchSpace = NAS_BENCH_201) -> int:
    """Count the cells of a search space.

    Parameters
    ----------
    n_nodes : int
        Nodes of a cell, its input included.
    connected_only : bool
        Whether to count only those with a path from input to output without ``none``.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    int

    Examples
    --------
    >>> n_cells(4, connected_only=False), n_cells(4, connected_only=True)
    (15625, 15284)
    """
    n_operations = len(space)
    n_zeros = sum(operation.kind == "zero" for operation in space)
    if not connected_only:
        everything: int = n_operations ** n_edges(n_nodes)
        return everything
    # In how many ways the nodes so far can be wired, by how many of them the input reaches.
    ways = {1: 1}
    reaching = 0
    for node in range(1, n_nodes):
        wired: dict[int, int] = {}
        reaching = 0
        for n_reached, count in ways.items():
            # Edges from nodes that are not reached are free; of the others all are ``none``,
            # or the node is reached too.
            free = count * n_operations ** (node - n_reached)
            apart = free * n_zeros**n_reached
            joined = free * (n_operations**n_reached - n_zeros**n_reached)
            wired[n_reached] = wired.get(n_reached, 0) + apart
            wired[n_reached + 1] = wired.get(n_reached + 1, 0) + joined
            reaching += joined
        ways = wired
    return reaching


def draw_cells(
    n: int,
    n_nodes: int,
    *,
    connected_only: bool,
    generator: torch.Generator,
    space: SearchSpace = NAS_BENCH_201,
) -> list[Cell]:
    """Draw distinct cells, all equally likely.

    Parameters
    ----------
    n : int
        Number of cells.
    n_nodes : int
        Nodes of a cell, its input included.
    connected_only : bool
        Whether to draw only cells with a path from input to output without ``none``; the others
        cannot learn.
    generator : torch.Generator
        A CPU generator.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    list of Cell
        In the order of drawing.

    Raises
    ------
    InputError
        If there are not so many cells.

    Examples
    --------
    >>> cells = draw_cells(
    ...     4, 2, connected_only=True, generator=torch.Generator().manual_seed(0)
    ... )
    >>> sorted(cell.operations[0] for cell in cells)
    ['avg_pool_3x3', 'nor_conv_1x1', 'nor_conv_3x3', 'skip_connect']
    """
    check_n_cells(n, n_nodes, connected_only=connected_only, space=space)
    cells: dict[Cell, None] = {}
    while len(cells) < n:
        indices = torch.randint(len(space), (n_edges(n_nodes),), generator=generator)
        cell = Cell.from_indices(indices.tolist(), space)
        if cell.is_connected or not connected_only:
            cells[cell] = None
    return list(cells)


def check_n_cells(
    n: int, n_nodes: int, *, connected_only: bool, space: SearchSpace = NAS_BENCH_201
) -> None:
    """Check that there are so many cells.

    Parameters
    ----------
    n, n_nodes : int
    connected_only : bool
    space : SearchSpace, optional
        See `draw_cells`.

    Raises
    ------
    InputError
        If there are fewer.
    """
    integer_from(2).check("n_nodes", n_nodes)
    BOOLEAN.check("connected_only", connected_only)
    # A node more makes at least so many times as many cells, be one operation a zero; from three
    # nodes on twice as many. So more nodes need no counting of huge numbers.
    bits = max(1, (len(space) - 1).bit_length() - 1)
    enough = min(n_nodes, n.bit_length() // bits + 3)
    available = n_cells(enough, connected_only=connected_only, space=space)
    if n > available:
        kind = "connected cells" if connected_only else "cells"
        raise InputError(
            f"{n} distinct {kind} of {n_nodes} nodes cannot be drawn, since there are "
            f"{available}; lower n_samples or raise n_nodes"
        )


@dataclass
class Candidates:
    """What a search knows of its candidates before it trains them.

    Attributes
    ----------
    seeds : list of int
        That each candidate is trained from.
    space : SearchSpace
        That the cells are drawn from.
    cells : list of Cell
        The candidates, where they do not depend on each other.
    """

    seeds: list[int]
    space: SearchSpace
    cells: list[Cell] = field(default_factory=list)

    def generator(self, index: int) -> torch.Generator:
        """Create the generator that a candidate is drawn by, the same whenever it is asked for."""
        return stream(self.seeds[index], "operations")

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names."""
        tensors = {"seeds": torch.tensor(self.seeds)}
        if self.cells:
            tensors["cells"] = torch.tensor([self.space.indices_of(cell) for cell in self.cells])
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected."""
        for name, value in self.to_tensors().items():
            if tensors[name].shape != value.shape or tensors[name].dtype != value.dtype:
                raise ValueError(f"{name} are of another number")
        self.seeds = tensors["seeds"].tolist()
        if self.cells:
            indices = tensors["cells"].tolist()
            self.cells = [Cell.from_indices(one, self.space) for one in indices]


@dataclass(frozen=True)
class CandidateData:
    """What the candidates are trained and evaluated on.

    Attributes
    ----------
    data : SearchData
    steps_per_epoch : int
        Weight updates of one candidate, all its epochs together.
    """

    data: SearchData
    steps_per_epoch: int


class CandidateSearcher(TrainingSearcher[Candidates, CandidateData]):
    """Searcher that trains one cell after another from scratch, and keeps the most accurate.

    A subclass says which cell comes next. The history has one record for each cell.

    Parameters
    ----------
    n_samples : int
        Number of cells.
    epochs : int
        Passes over the weight data for each cell, where `steps_per_epoch` does not say otherwise.
    steps_per_epoch : int or None
        Updates of a cell's weights in an epoch; None makes one pass over the weight data. See
        `proxysample_nas.training.trainer.CellTrainer`.
    learning_rate : float
        Of the first epoch of each cell; it falls to 0 within `epochs`, as in
        `proxysample_nas.training.trainer.CellTrainer`, whose defaults these are.
    architecture_fraction : float
        Share of the training data held out to evaluate the cells, where no validation data is
        given. One half, so that all searchers train their weights on the same samples.

    Notes
    -----
    In a record, `train_loss` and `train_accuracy` are those of the cell's last epoch,
    `learning_rate` is that of the first, `architecture_accuracy` is measured without augmentation
    in evaluation mode, and the result is the cell where it is highest, the first of equals.
    """

    n_samples: int = 10
    epochs: int = 12
    batch_size: int = 256
    steps_per_epoch: int | None = None
    learning_rate: float = 0.1

    _constraints: ClassVar[Constraints] = {
        "n_samples": POSITIVE_INTEGER,
        "steps_per_epoch": POSITIVE_INTEGER.or_none(),
    }

    _unit = "cell"
    _collapse_shows = "never"

    @abc.abstractmethod
    def _next_cell(self, state: Candidates, history: Sequence[EpochRecord]) -> Cell:
        """Choose the cell to train next, by those that were trained and nothing else.

        What is random in it comes from ``state.generator(len(history))``: a search that is taken
        up again then goes on with the same cells.
        """

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        """Count images that train a cell, and that it is evaluated on."""
        n_cells = self._n_epochs()
        per_epoch = self._trainer(None).samples_per_epoch(n_weight_samples)
        return {
            "train": float(n_cells * self.epochs * per_epoch),
            "evaluate": float(n_cells * n_architecture_samples),
        }

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        return self._with(n_samples=2, epochs=1, steps_per_epoch=None)

    def lengthenings(self) -> list[Lengthening]:
        """List how a short search is made longer: more epochs, and more cells."""
        return [self._lengthening("epochs"), self._lengthening("n_samples")]

    @property
    def algorithm_version(self) -> int:
        """That of the trainings: a search with these parameters is made of them."""
        return CellTrainer.algorithm_version

    def parameters_as_json(self) -> dict[str, Any]:
        """Give the parameters that the result depends on as plain JSON values; see the base."""
        parameters = super().parameters_as_json()
        # Added later: what was searched without it keeps its name.
        if parameters.get("steps_per_epoch") is None:
            parameters.pop("steps_per_epoch", None)
        return parameters

    def _n_epochs(self) -> int:
        return self.n_samples

    def _progress_per_epoch(self, batches: CandidateData) -> int:  # noqa: ARG002
        return 1

    def _create_batches(self, data: SearchData) -> CandidateData:
        per_epoch = self.steps_per_epoch or -(-len(data.weights) // self.batch_size)
        return CandidateData(data, self.epochs * per_epoch)

    def _create_state(self, data: SearchData, seed: int) -> Candidates:  # noqa: ARG002
        import_what_optimizers_import()
        generator = stream(seed, "initialization")
        seeds = torch.randint(2**32, (self.n_samples,), generator=generator).tolist()
        return Candidates(seeds, self._search_space())

    def _run_epoch(
        self,
        state: Candidates,
        batches: CandidateData,
        history: Sequence[EpochRecord],
        bar: tqdm[Any],
    ) -> EpochRecord:
        start = time.perf_counter()
        data, index = batches.data, len(history)
        run = self._trainer(data.normalization).train_once(
            self._next_cell(state, history), data.weights, data.architecture, state.seeds[index]
        )
        bar.update()
        return EpochRecord(
            epoch=index,
            cell=run.cell,
            architecture_weights=(),
            learning_rate=self.learning_rate,
            train_loss=run.train_losses[-1],
            train_accuracy=run.train_accuracy,
            architecture_loss=None,
            architecture_accuracy=run.accuracy,
            seconds=time.perf_counter() - start,
        )

    def _choose(
        self,
        state: Candidates,  # noqa: ARG002
        batches: CandidateData,
        history: list[EpochRecord],
        keep: Callable[[], None],  # noqa: ARG002
    ) -> FinalChoice:
        n_samples = len(batches.data.architecture)
        return best_of(
            [Candidate(one.cell, one.architecture_accuracy, n_samples) for one in history], 0.0
        )

    def _trainer(self, normalization: Normalization | None) -> CellTrainer:
        return CellTrainer(
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            epochs=self.epochs,
            batch_size=self.batch_size,
            steps_per_epoch=self.steps_per_epoch,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            augmentation=self.augmentation,
            normalization=normalization,
            precision=self.precision,
            device=self.device,
            progress=False,
        )
