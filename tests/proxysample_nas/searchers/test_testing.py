"""Each check of a searcher finds what it is there for."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from proxysample.checks import BOOLEAN, Constraints
from proxysample_nas import testing
from proxysample_nas.searchers import (
    EpochRecord,
    EpochSearcher,
    Lengthening,
    SearchData,
    SearchResult,
    draw_cells,
    stream,
)


@dataclass
class Steps:
    steps_per_epoch: int


@dataclass
class Generator:
    """All that changes while a search runs."""

    generator: torch.Generator

    def to_tensors(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.generator.set_state(tensors["generator"])


class Guess(EpochSearcher[Generator, Steps]):
    """Draws a cell and its accuracy in each epoch; trains nothing, so that it is quick.

    Parameters
    ----------
    loud : bool
        Whether it prints.
    """

    id = "guess"
    epochs: int = 3
    n_nodes: int = 3
    random_state: int | None = 0
    progress: bool = False
    loud: bool = False

    _constraints: ClassVar[Constraints] = {"loud": BOOLEAN}

    def _create_batches(self, data: SearchData) -> Steps:
        return Steps(-(-len(data.weights) // self.batch_size))

    def _create_state(self, data: SearchData, seed: int) -> Generator:
        return Generator(stream(seed, "guesses"))

    def _run_epoch(
        self, state: Generator, batches: Steps, history: Sequence[EpochRecord], bar: Any
    ) -> EpochRecord:
        bar.update(batches.steps_per_epoch)
        (cell,) = draw_cells(1, self.n_nodes, connected_only=True, generator=state.generator)
        accuracy = 100 * torch.rand((), generator=state.generator).item()
        return EpochRecord(len(history), cell, (), 0.1, 1.0, accuracy, None, accuracy, 1e-3)


def test_a_sound_searcher_passes() -> None:
    testing.check_searcher(Guess())


class Rounding(Guess):
    """Stores another value than it was given."""

    def __init__(self, *, epochs: int = 3) -> None:
        super().__init__(epochs=epochs + 1)


class Forgetful(Guess):
    """Does not store a parameter."""

    def __init__(self, *, epochs: int = 3, width: int = 3) -> None:
        super().__init__(epochs=epochs)


class Unwritten(Guess):
    """Has a parameter that JSON does not know."""

    colours: Any = frozenset()


class Nameless(Guess):
    id = ""


class Unchecked(Guess):
    """Has a parameter that nobody checks."""

    width: int = 3


class CheckedLate(Guess):
    """Finds out after the data are read."""

    def check_parameters(self) -> None:
        pass


class Idle(Guess):
    """Says that it does nothing."""

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        return {}


class Rigid(Guess):
    """Is not made longer."""

    def lengthenings(self) -> list[Lengthening]:
        return [Lengthening("n_nodes", 3)]


class Hidden(Guess):
    """Does work that no short search shows."""

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        counts = super().work(n_weight_samples, n_architecture_samples)
        return counts | {"finale": float(self.epochs > 2)}


class Seeding(Guess):
    """Seeds torch's global generator, where the base does not put it back."""

    def search(self, *given: Any, **named: Any) -> SearchResult:
        torch.manual_seed(7)
        return super().search(*given, **named)


class NumpySeeding(Guess):
    """Draws from numpy's global generator, where the base does not put it back."""

    def search(self, *given: Any, **named: Any) -> SearchResult:
        np.random.rand()  # noqa: NPY002
        return super().search(*given, **named)


class Meddling(Guess):
    """Changes a parameter."""

    def search(self, *given: Any, **named: Any) -> SearchResult:
        self.epochs = 2
        return super().search(*given, **named)


class Staining(Guess):
    """Changes the images."""

    def search(self, train: Any, *given: Any, **named: Any) -> SearchResult:
        getattr(train, "images", train)[:] += 1
        return super().search(train, *given, **named)


class Chancy(Guess):
    """Draws from somewhere else than its streams."""

    def _create_state(self, data: SearchData, seed: int) -> Generator:
        return Generator(torch.Generator().manual_seed(random.SystemRandom().randrange(2**32)))


class Deaf(Guess):
    """Takes the same seed whatever it is given."""

    def _create_state(self, data: SearchData, seed: int) -> Generator:
        return super()._create_state(data, 0)


class Lying(Guess):
    """Tells another seed than it took."""

    def search(self, *given: Any, **named: Any) -> SearchResult:
        result = super().search(*given, **named)
        if self.random_state is not None:
            return result
        return replace(result, info=replace(result.info, seed=result.info.seed + 1))


class Miscounting(Guess):
    """Numbers its epochs from 1."""

    def _run_epoch(self, *given: Any, **named: Any) -> EpochRecord:
        record = super()._run_epoch(*given, **named)
        return replace(record, epoch=record.epoch + 1)


class Diverging(Guess):
    def _run_epoch(self, *given: Any, **named: Any) -> EpochRecord:
        return replace(super()._run_epoch(*given, **named), train_loss=float("nan"))


class Unsure(Guess):
    """Gives probabilities that do not sum to 1."""

    def _run_epoch(self, *given: Any, **named: Any) -> EpochRecord:
        return replace(super()._run_epoch(*given, **named), architecture_weights=((0.1,) * 5,) * 3)


class Holding(Guess):
    """Holds samples out although there are validation data."""

    def search(self, train: Any, validation: Any = None, *given: Any, **named: Any) -> SearchResult:
        return super().search(train, None, *given, **named)


class Narrow(Guess):
    """Knows no class but those that occur."""

    def search(self, *given: Any, classes: Any = None, **named: Any) -> SearchResult:
        return super().search(*given, **named)


class Ordering(Guess):
    """Takes labels beside images for others."""

    def search(self, train: Any, validation: Any = None, y: Any = None, **named: Any) -> Any:
        result = super().search(train, validation, y, **named)
        if y is None:
            return result
        return replace(result, info=replace(result.info, n_classes=1))


class Loud(Guess):
    def search(self, *given: Any, **named: Any) -> SearchResult:
        sys.stderr.write("searching")
        return super().search(*given, **named)


class Careless(Guess):
    """Keeps nothing."""

    def search(self, *given: Any, checkpoint: Any = None, **named: Any) -> SearchResult:
        return super().search(*given, **named)


class Incomplete(Guess):
    """Keeps less than what changes."""

    def _create_state(self, data: SearchData, seed: int) -> Generator:
        state = super()._create_state(data, seed)
        state.to_tensors = dict  # type: ignore[method-assign, assignment]
        state.load_tensors = lambda tensors: None  # type: ignore[method-assign]
        return state


class Repeating(Guess):
    """Searches again where the search has ended."""

    def search(self, *given: Any, checkpoint: Any = None, **named: Any) -> SearchResult:
        if checkpoint is not None and checkpoint.exists():
            checkpoint = checkpoint.with_name(f"{time.monotonic_ns()}.safetensors")
        result = super().search(*given, checkpoint=checkpoint, **named)
        history = tuple(replace(one, seconds=time.monotonic()) for one in result.history)
        return replace(result, history=history)


class Trusting(Guess):
    """Goes on with whatever file is there."""

    def parameters_as_json(self) -> dict[str, Any]:
        given = super().parameters_as_json()
        given.pop("random_state", None)
        return given


BROKEN: dict[str, list[tuple[Any, str]]] = {
    "check_parameters_are_only_stored": [
        (Rounding, "Cannot clone"),
        (Forgetful, "takes 'width' and does not store"),
        (Unwritten, "no plain JSON"),
        (Nameless, "the id is empty"),
    ],
    "check_bad_parameters_are_refused_first": [
        (Unchecked, "width=.* is not refused"),
        (CheckedLate, "architecture_fraction=1.0 in check_parameters is not refused"),
    ],
    "check_work_can_be_counted": [
        (Idle, "work counts nothing"),
        (Rigid, "makes a short search no longer"),
        (Hidden, "no short search does finale"),
    ],
    "check_global_generators_are_left_alone": [
        (Seeding, "torch's global generator"),
        (NumpySeeding, "numpy's global generator"),
    ],
    "check_search_changes_nothing_it_was_given": [
        (Meddling, "changed a parameter"),
        (Staining, "changed the images"),
    ],
    "check_searches_agree": [
        (Chancy, "a second search differs"),
        (Deaf, "random_state changes nothing"),
    ],
    "check_a_fresh_seed_is_told": [(Lying, "does not repeat the search")],
    "check_the_result_tells_what_was_done": [
        (Miscounting, "the epochs of the history are"),
        (Diverging, "the loss is nan"),
        (Unsure, "do not sum to 1"),
    ],
    "check_validation_data_choose_the_architecture": [(Holding, "it says 'held out'")],
    "check_classes_can_be_named": [(Narrow, "9 classes are known of 10")],
    "check_labels_can_be_given_beside_images": [(Ordering, "labels in y search otherwise")],
    "check_progress_can_be_turned_off": [(Loud, "prints 'searching'")],
    "check_interruptions_change_nothing": [
        (Careless, "does not write"),
        (Incomplete, "taken up after epoch 1, the search ends otherwise"),
        (Repeating, "run again"),
    ],
    "check_checkpoints_of_other_searches_are_refused": [
        (Trusting, "a checkpoint of another random_state is not refused")
    ],
}


def test_every_check_is_tried() -> None:
    assert BROKEN.keys() == {check.__name__ for check in testing.searcher_checks()}


@pytest.mark.parametrize(
    ("check", "kind", "message"),
    [(check, *one) for check, cases in BROKEN.items() for one in cases],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_broken_searcher_fails_its_check(check: str, kind: type[Guess], message: str) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=message):
        getattr(testing, check)(kind(), testing.small_digits(120))


def test_a_failure_notes_which_promise_is_broken() -> None:
    with pytest.raises(AssertionError) as caught:
        testing.check_searcher(Seeding())
    (note,) = caught.value.__notes__
    assert note.startswith("check_global_generators_are_left_alone: Neither numpy's nor torch's")
