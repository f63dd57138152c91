"""What a search yields: the cell, its history, and the facts a report must state."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from proxysample.errors import InputError
from proxysample.files import replace_file
from proxysample.plain_values import read_json
from proxysample_nas.searchers.result_values import check_epoch, check_facts, check_result
from proxysample_nas.searchers.selection import Selection
from proxysample_nas.space.cell import Cell


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a search.

    Losses and accuracies are means over the epoch's steps, measured on augmented batches in
    training mode, before the step changed anything, where the searcher does not say otherwise.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    cell : Cell
        The genotype after the epoch.
    architecture_weights : tuple of tuple of float, shape (n_edges, 5)
        Probability of each operation on each edge after the epoch, in the order of
        `proxysample_nas.space.cell.OPERATIONS`; every row sums to 1. Empty where a searcher
        has none.
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

    epoch: int
    cell: Cell
    architecture_weights: tuple[tuple[float, ...], ...]
    learning_rate: float
    train_loss: float
    train_accuracy: float
    architecture_loss: float | None
    architecture_accuracy: float
    seconds: float
    details: dict[str, float] = field(default_factory=dict)

    @property
    def n_skip_connections(self) -> int:
        """Number of edges whose operation is a skip connection."""
        return self.cell.n_skip_connections

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON values.

        Returns
        -------
        dict
        """
        return asdict(self) | {
            "cell": str(self.cell),
            "n_skip_connections": self.n_skip_connections,
            "architecture_weights": [list(row) for row in self.architecture_weights],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        EpochRecord

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        check_epoch(values)
        own = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        own["cell"] = Cell.from_string(own["cell"])
        own["architecture_weights"] = tuple(tuple(row) for row in own["architecture_weights"])
        return cls(**own)


@dataclass(frozen=True)
class SearchFacts:
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
    seed: int
    n_weight_samples: int
    n_architecture_samples: int
    architecture_source: str
    n_classes: int
    image_shape: tuple[int, int, int]
    steps_per_epoch: int
    device: str
    stopped_early: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Turn the facts into plain JSON values.

        Returns
        -------
        dict
        """
        return asdict(self) | {"image_shape": list(self.image_shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        SearchFacts

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        check_facts(values)
        own = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        channels, height, width = own["image_shape"]
        return cls(**(own | {"image_shape": (channels, height, width)}))


@dataclass(frozen=True)
class SearchResult:
    """The cell that a search found, and how.

    Attributes
    ----------
    history : tuple of EpochRecord
        One per epoch, in order.
    facts : SearchFacts
    selection : Selection or None
        How the cell was chosen, where it is not just that of the last epoch.

    Examples
    --------
    >>> cell = Cell.filled("skip_connect", n_nodes=2)
    >>> record = EpochRecord(0, cell, ((0.1, 0.6, 0.1, 0.1, 0.1),), 0.025, 2.3, 10.0, 2.3, 9.0, 1.5)
    >>> facts = SearchFacts("darts-v1", {}, 0, 500, 500, "held out", 10, (1, 8, 8), 8, "cpu")
    >>> result = SearchResult((record,), facts)
    >>> result.cell, result.seconds, result.n_steps
    (Cell.from_string('|skip_connect~0|'), 1.5, 8)
    >>> SearchResult.from_dict(result.to_dict()) == result
    True
    """

    history: tuple[EpochRecord, ...]
    facts: SearchFacts
    selection: Selection | None = None

    @property
    def cell(self) -> Cell:
        """What was chosen in the end; without a choice, the genotype after the last epoch."""
        return self.history[-1].cell if self.selection is None else self.selection.cell

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs, those before a resumption included, and the choice."""
        choosing = 0.0 if self.selection is None else self.selection.seconds
        return sum(record.seconds for record in self.history) + choosing

    @property
    def n_steps(self) -> int:
        """Number of weight updates of the whole search."""
        choosing = 0 if self.selection is None else self.selection.n_steps
        return self.facts.steps_per_epoch * len(self.history) + choosing

    def to_dict(self) -> dict[str, Any]:
        """Turn the result into plain JSON values.

        Returns
        -------
        dict
            With the cell, the seconds and the number of steps, for a reader without this class.
        """
        return {
            "cell": str(self.cell),
            "seconds": self.seconds,
            "n_steps": self.n_steps,
            "facts": self.facts.to_dict(),
            "history": [record.to_dict() for record in self.history],
            "selection": None if self.selection is None else self.selection.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        SearchResult

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        check_result(values)
        history = tuple(EpochRecord.from_dict(record) for record in values["history"])
        chosen = values.get("selection")
        selection = None if chosen is None else Selection.from_dict(chosen)
        return cls(history, SearchFacts.from_dict(values["facts"]), selection)

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
        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        try:
            return cls.from_dict(read_json(text, str(path)))
        except InputError as error:
            raise InputError(f"{path} is not a search's result: {error}") from error
