"""What a search yields: the cell, how it was chosen, its history, and what a report must state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from proxysample.errors import InputError
from proxysample.files import read_bounded, replace_file
from proxysample.printing import cleaned
from proxysample.records import Amount, Count, Measure, Named, Number, Record, read_json
from proxysample.wording import pluralize
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

# A search of thousands of epochs takes some millions.
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class EdgeDecision(Record, title="the decision of an edge"):
    """How one edge's operation was chosen by what its removal costs.

    Attributes
    ----------
    edge : int
        Index in `proxysample_nas.space.cell.edges_of`.
    operation : str
        What was kept.
    losses, accuracies : tuple of float, length n_operations
        Mean cross-entropy in nats, and percent, of the supernet on all architecture data without
        each operation, in the order of the search space.
    seconds : float
        Wall-clock time, with the training that followed.
    """

    edge: Count
    operation: str
    losses: tuple[Measure, ...]
    accuracies: tuple[Measure, ...]
    seconds: Amount = 0.0


@dataclass(frozen=True)
class Candidate(Record, title="a candidate"):
    """A cell that was measured before the final choice.

    Attributes
    ----------
    cell : Cell
    accuracy : float
        Percent of the architecture samples it was measured on.
    n_samples : int
        Number of those samples.
    """

    cell: Cell
    accuracy: Measure
    n_samples: Count


@dataclass(frozen=True)
class FinalChoice(Record, title="the choice of a cell"):
    """How the final cell was chosen.

    Attributes
    ----------
    cell : Cell
        What was chosen.
    candidates : tuple of Candidate
        In the order of their measurement; empty where there was nothing to compare.
    seconds : float
        Wall-clock time of the choice, where the epochs have not counted it.
    decisions : tuple of EdgeDecision
        In the order in which the edges were decided, where each was decided by itself.
    n_steps : int
        Weight updates that were made for the choice.

    Examples
    --------
    >>> cells = [Cell.filled(name, n_nodes=2) for name in ("none", "nor_conv_3x3")]
    >>> best_of([Candidate(cells[0], 10.0, 64), Candidate(cells[1], 80.0, 64)], 1.5).cell
    Cell.from_string('|nor_conv_3x3~0|')
    """

    cell: Cell
    candidates: tuple[Candidate, ...]
    seconds: Amount
    decisions: tuple[EdgeDecision, ...] = ()
    n_steps: Count = 0

    def __repr__(self) -> str:
        compared = f"of {len(self.candidates)} candidates" if self.candidates else "by edges"
        return f"FinalChoice({self.cell}, {compared})"


def best_of(candidates: Sequence[Candidate], seconds: float) -> FinalChoice:
    """Choose the candidate of the highest accuracy, the first of equals.

    Parameters
    ----------
    candidates : sequence of Candidate
        One or more.
    seconds : float
        Wall-clock time of measuring them.

    Returns
    -------
    FinalChoice
    """
    best = max(candidates, key=lambda candidate: candidate.accuracy)
    return FinalChoice(best.cell, tuple(candidates), seconds)


@dataclass(frozen=True)
class EpochRecord(Record, title="the record of an epoch"):
    """One epoch of a search.

    Losses and accuracies are means over the epoch's steps, measured on augmented batches in
    training mode, before the step changed anything, where the searcher does not say otherwise.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    cell : Cell
        The genotype after the epoch.
    architecture_weights : tuple of tuple of float, shape (n_edges, n_operations)
        Probability of each operation on each edge after the epoch, in the order of the search
        space; every row sums to 1. Empty where a searcher has none.
    learning_rate : float
        Of the supernet's weights.
    train_loss : float
    architecture_loss : float or None
        Cross-entropy in nats, on the weight batches and on the architecture batches; None where
        it is not measured.
    train_accuracy, architecture_accuracy : float
        Percent.
    seconds : float
        Wall-clock time of the epoch.
    details : dict of str to float
        What the searcher alone has to tell; its documentation says what.
    """

    epoch: Count
    cell: Cell
    architecture_weights: tuple[tuple[Number, ...], ...]
    learning_rate: Number
    train_loss: Measure
    train_accuracy: Measure
    architecture_loss: Measure | None
    architecture_accuracy: Measure
    seconds: Amount
    details: dict[str, Measure] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Give every number of the epoch under its name, those of `details` among them.

        Returns
        -------
        dict of str to float
            ``epoch``, ``learning_rate``, ``train_loss``, ``train_accuracy``,
            ``architecture_accuracy``, ``seconds`` and ``n_skip_connections``; and
            ``architecture_loss`` where it is measured.
        """
        named = {
            "epoch": float(self.epoch),
            "learning_rate": self.learning_rate,
            "train_loss": self.train_loss,
            "train_accuracy": self.train_accuracy,
            "architecture_accuracy": self.architecture_accuracy,
            "seconds": self.seconds,
            "n_skip_connections": float(self.n_skip_connections),
        }
        if self.architecture_loss is not None:
            named["architecture_loss"] = self.architecture_loss
        return {**self.details, **named}

    def __repr__(self) -> str:
        return (
            f"EpochRecord({self.epoch}: {self.cell}, {self.train_accuracy:.1f} % of the weight "
            f"samples, {self.architecture_accuracy:.1f} % of the architecture's)"
        )

    @property
    def n_skip_connections(self) -> int:
        """Number of edges whose operation is a skip connection."""
        return self.cell.n_skip_connections

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON values, with the number of skip connections."""
        return super().to_dict() | {"n_skip_connections": self.n_skip_connections}


@dataclass(frozen=True)
class SearchInfo(Record, title="what is said of a search"):
    """What a report of a search must state, since the result depends on it.

    Attributes
    ----------
    searcher : str
        Id of the searcher.
    parameters : dict
        All its parameters, as JSON values.
    seed : int
        What `random_state` came to; it repeats the search.
    n_weight_samples, n_architecture_samples : int
        Samples that trained the supernet's weights and the architecture.
    architecture_source : {"held out", "validation"}
        Whether the architecture's samples were held out of the training data or given.
    n_classes : int
    image_shape : tuple of int
        Channels, height and width.
    steps_per_epoch : int
        Weight updates for each record of the history.
    device : str
    stopped_early : str or None
        Why the search ended before its last epoch, where it did.
    """

    searcher: str
    parameters: dict[str, Any]
    seed: Count
    n_weight_samples: Count
    n_architecture_samples: Count
    architecture_source: str
    n_classes: Count
    image_shape: tuple[Count, Count, Count]
    steps_per_epoch: Count
    device: str
    stopped_early: str | None = None

    def __repr__(self) -> str:
        n_samples = f"{self.n_weight_samples:,} + {self.n_architecture_samples:,} samples"
        return cleaned(f"SearchInfo({self.searcher}, seed {self.seed}, {n_samples}, {self.device})")


@dataclass(frozen=True)
class SearchResult(Record, title="the result of a search"):
    """The cell that a search found, and how.

    Attributes
    ----------
    history : tuple of EpochRecord
        One per epoch, in order.
    info : SearchInfo
    final_choice : FinalChoice or None
        How the cell was chosen, where it is not just that of the last epoch.

    Examples
    --------
    >>> cell = Cell.filled("skip_connect", n_nodes=2)
    >>> record = EpochRecord(0, cell, ((0.1, 0.6, 0.1, 0.1, 0.1),), 0.025, 2.3, 10.0, 2.3, 9.0, 1.5)
    >>> info = SearchInfo("darts-v1", {}, 0, 500, 500, "held out", 10, (1, 8, 8), 8, "cpu")
    >>> result = SearchResult((record,), info)
    >>> result
    SearchResult(|skip_connect~0|, darts-v1, 1 epoch, 1.5 s)
    >>> result.cell, result.seconds, result.n_steps
    (Cell.from_string('|skip_connect~0|'), 1.5, 8)
    >>> SearchResult.from_dict(result.to_dict()) == result
    True
    """

    history: tuple[EpochRecord, ...]
    info: Annotated[SearchInfo, Named("facts")]
    final_choice: Annotated[FinalChoice | None, Named("selection")] = None

    def __repr__(self) -> str:
        epochs = pluralize(len(self.history), "epoch")
        words = f"{self.cell}, {self.info.searcher}, {epochs}, {self.seconds:.1f} s"
        return cleaned(f"SearchResult({words})")

    @property
    def cell(self) -> Cell:
        """What was chosen in the end; without a choice, the genotype after the last epoch."""
        return self.history[-1].cell if self.final_choice is None else self.final_choice.cell

    @property
    def space(self) -> SearchSpace:
        """What the search chose from; `InputError` where an operation is not registered."""
        return _space_of(self.info.parameters)

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs, those before a resumption included, and the choice."""
        choosing = 0.0 if self.final_choice is None else self.final_choice.seconds
        return sum(record.seconds for record in self.history) + choosing

    @property
    def n_steps(self) -> int:
        """Number of weight updates of the whole search."""
        choosing = 0 if self.final_choice is None else self.final_choice.n_steps
        return self.info.steps_per_epoch * len(self.history) + choosing

    def to_dict(self) -> dict[str, Any]:
        """Turn the result into plain JSON values.

        Returns
        -------
        dict
            With the cell, the seconds and the number of steps, for a reader without this class.
        """
        own = super().to_dict()
        told = {"cell": str(self.cell), "seconds": self.seconds, "n_steps": self.n_steps}
        return told | {name: own[name] for name in ("facts", "history", "selection")}

    @classmethod
    def from_dict(cls, values: Any, **unwritten: Any) -> Self:
        """Read what `to_dict` wrote; `InputError` where it is damaged."""
        result = super().from_dict(values, **unwritten)
        if not result.history and result.final_choice is None:
            raise InputError(f"{cls._title} is damaged: it has neither an epoch nor a cell")
        check_operations(result.info.parameters, result.history, result.final_choice)
        return result

    def save(self, path: str | Path) -> None:
        """Write the result as a JSON file.

        Parameters
        ----------
        path : str or Path
        """
        with replace_file(path) as stream:
            stream.write(json.dumps(self.to_dict(), indent=1).encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        SearchResult

        Raises
        ------
        InputError
            If the file is missing, damaged or something else.
        """
        text = read_bounded(path, MOST_BYTES)
        try:
            return cls.from_dict(read_json(text, str(path)))
        except InputError as error:
            raise InputError(f"{path} is not a search's result: {error}") from error


def check_operations(
    parameters: Mapping[str, Any], history: Sequence[EpochRecord], choice: FinalChoice | None
) -> None:
    """Check what was read of a search against its search space.

    Parameters
    ----------
    parameters : mapping
        Of the searcher, as JSON values; without a ``"space"`` it is that of NAS-Bench-201.
    history : sequence of EpochRecord
    choice : FinalChoice or None

    Raises
    ------
    InputError
        If the space has an operation that is not registered, an edge has not one number for each
        operation, or one was kept that is not in the space.
    """
    space = _space_of(parameters)
    decisions = () if choice is None else choice.decisions
    rows = [row for record in history for row in record.architecture_weights]
    rows += [row for decision in decisions for row in (decision.losses, decision.accuracies)]
    wrong = [row for row in rows if len(row) != len(space)]
    if wrong:
        raise InputError(
            f"a search is damaged: it has {len(wrong[0])} numbers for the {len(space)} operations "
            f"of an edge ({', '.join(space.operations)})"
        )
    for decision in decisions:
        space.index(decision.operation)


def _space_of(parameters: Mapping[str, Any]) -> SearchSpace:
    return SearchSpace.of(parameters.get("space", NAS_BENCH_201))
