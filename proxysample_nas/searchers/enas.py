"""ENAS: search by a controller that is rewarded for the cells it samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.checks import (
    DECAY_RATE,
    DECAY_RATES,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    Constraints,
)
from proxysample.device import deterministic_kernels
from proxysample.printing import hides_progress
from proxysample_nas.searchers.base import Lengthening, stream
from proxysample_nas.searchers.controller import Controller
from proxysample_nas.searchers.data import SearchData, SeparateBatches
from proxysample_nas.searchers.enas_updates import (
    ControllerState,
    evaluate,
    measuring,
    train_controller,
    train_shared_weights,
)
from proxysample_nas.searchers.result import Candidate, EpochRecord, FinalChoice, best_of
from proxysample_nas.searchers.state import RunOperations
from proxysample_nas.searchers.weight_sharing import WeightSharingSearcher
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.training.optimization import (
    check_loss,
    cosine_learning_rate,
    counted,
    set_learning_rate,
)


def select_by_all(
    state: ControllerState, batches: SeparateBatches, n_candidates: int, bar: tqdm[Any]
) -> FinalChoice:
    """Evaluate every candidate on all architecture data, without augmentation.

    Parameters
    ----------
    state : ControllerState
        The supernet must be inside `proxysample_nas.searchers.enas_updates.measuring`.
    batches : SeparateBatches
    n_candidates : int
        Number of samples; a cell that is sampled again is evaluated once.
    bar : tqdm
        Advanced once per sample.

    Returns
    -------
    FinalChoice
    """
    start = time.perf_counter()
    n_samples = len(batches.data.architecture)
    space = state.supernet.space
    evaluated: dict[Cell, Tensor] = {}
    for cell in counted(_sample(state, n_candidates), bar):
        if cell not in evaluated:
            outcomes = [
                evaluate(state.supernet, batch, space.indices_of(cell))
                for batch in batches.all_architecture()
            ]
            evaluated[cell] = torch.stack(outcomes).sum(dim=0)
    candidates = [
        Candidate(cell, 100 * right / n_samples, n_samples)
        for cell, (_, right) in zip(evaluated, _read(evaluated.values()), strict=True)
    ]
    return best_of(candidates, time.perf_counter() - start)


def select_by_one_batch_each(
    state: ControllerState, batches: SeparateBatches, n_candidates: int, bar: tqdm[Any]
) -> FinalChoice:
    """Evaluate every candidate on one batch, each on another, as the authors' code does.

    With 128 images a batch the standard error of an accuracy is three to four percentage points.

    Parameters
    ----------
    state : ControllerState
        The supernet must be inside `proxysample_nas.searchers.enas_updates.measuring`.
    batches : SeparateBatches
        Their augmented architecture batches are drawn.
    n_candidates : int
        Number of samples.
    bar : tqdm
        Advanced once per sample.

    Returns
    -------
    FinalChoice
    """
    start = time.perf_counter()
    generator = state.generators["architecture batches"]
    own = batches.architecture_batches(n_candidates, generator)
    cells = _sample(state, n_candidates)
    outcomes, sizes = [], []
    for cell, batch in zip(counted(cells, bar), own, strict=True):
        outcomes.append(evaluate(state.supernet, batch, state.supernet.space.indices_of(cell)))
        sizes.append(len(batch[1]))
    candidates = [
        Candidate(cell, 100 * right / n_samples, n_samples)
        for cell, n_samples, (_, right) in zip(cells, sizes, _read(outcomes), strict=True)
    ]
    return best_of(candidates, time.perf_counter() - start)


def _read(outcomes: Iterable[Tensor]) -> list[list[float]]:
    """Copy all outcomes to the host at once, so that no candidate waits for the one before it."""
    rows: list[list[float]] = torch.stack(list(outcomes)).tolist()
    return rows


@torch.no_grad()
def _sample(state: ControllerState, n: int) -> list[Cell]:
    walk = state.controller.sample(n, state.generators["operations"])
    space = state.supernet.space
    return [Cell.from_indices(operations, space) for operations in walk.operations.tolist()]


class ENAS(WeightSharingSearcher[ControllerState, SeparateBatches]):
    """Efficient neural architecture search via parameter sharing (Pham et al. 2018).

    An epoch first trains the shared weights, on one cell sampled for each batch, and then the
    controller that samples the cells, by REINFORCE: the reward is a cell's accuracy on a batch
    of the architecture data. After the last epoch the controller samples `n_candidates` cells,
    and the most accurate one with the shared weights is the result.

    The defaults are what the authors of "Less is More" ran: the settings of NAS-Bench-201's
    code. `architecture_fraction` alone is that of the other searchers.

    Parameters
    ----------
    epochs : int
        Passes over the weight data, where `steps_per_epoch` does not say otherwise, each followed
        by `controller_updates`.
    batch_size : int
        Samples of a step, and of the measurement of a cell.
    steps_per_epoch : int or None
        Updates of the weights in an epoch; None makes one pass over the weight data. The
        controller's are `controller_updates` either way. See `DARTS`.
    learning_rate, minimum_learning_rate, learning_rate_period : float, float, int
        Of the weights: it oscillates between the two along a cosine, constant within an epoch,
        and takes `learning_rate_period` epochs from the one to the other.
    momentum, weight_decay : float
        Of the weights' SGD. Both act on the weights that a step has not run as well; under
        ``protocol="paper"`` not on those of operations that have never run.
    controller_hidden_size, controller_layers : int
        Of the controller's LSTM.
    controller_temperature, controller_tanh_constant : float
        See `proxysample_nas.searchers.controller.Controller`.
    controller_updates, controller_samples : int
        Updates of the controller in an epoch, and cells sampled for each, with a batch for each
        cell.
    controller_learning_rate, controller_epsilon : float
        Of Adam on the controller, constant, without weight decay.
    controller_betas : tuple of float
        Adam's decay rates.
    controller_gradient_clip : float or None
        Largest L2 norm of the controller's gradient.
    entropy_weight : float
        Of the controller's entropy, in nats, beside the accuracy, from 0 to 1.
    baseline_decay : float
        Of the moving average that rewards are compared to; from 0 to below 1.
    n_candidates : int
        Cells sampled for the final choice.
    track_running_stats : bool or None
        Whether BatchNorm inside the supernet's cells keeps running statistics. None keeps them
        under ``protocol="paper"`` alone, which reads them. False is the remedy for a collapse into
        cells without convolutions: NATS-Bench's recipe (Dong, Liu, Musial & Gabrys 2021), which
        the author of NAS-Bench-201's code gives for ENAS (D-X-Y/AutoDL-Projects#115, with users'
        measurements in #70).
    augmentation : Augmentation or None
        Of all batches but those of the final choice in the default protocol.
    protocol : {"default", "paper"}
        ``"default"``: the baseline is a moving average over all rewards, the entropy is a bonus,
        BatchNorm normalises each batch by its own statistics whenever a cell is evaluated, and the
        final choice evaluates every candidate on all architecture data. ``"paper"`` follows the
        authors' code, quirks included: cells are evaluated by running statistics, which are
        averages over all cells; the baseline is carried from epoch to epoch; the entropy's
        gradient has the wrong sign (for both see `proxysample_nas.searchers.controller`);
        the final choice evaluates each candidate on one batch of its own; images like CIFAR-100's
        are normalised by the authors' constants; convolutions before BatchNorm have biases, which
        running statistics that lag behind do not cancel; and the user must give the validation
        data. The choice among ten cells that the authors' code logs after each epoch is left
        out.

    Notes
    -----
    The history has the controller's greedy cell after each epoch, which takes the likeliest
    operation of each edge given those before, and their probabilities as
    `architecture_weights`. `architecture_loss` and `architecture_accuracy` are of the cells that
    the controller sampled in the epoch. The `details` hold the mean ``"reward"`` and
    ``"entropy"`` of these, and the ``"baseline"`` that the next epoch begins with.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> digits = load_dataset("digits").train
    >>> searcher = ENAS(
    ...     n_nodes=3, channels=4, cells_per_stage=1, epochs=1, controller_updates=2,
    ...     n_candidates=5, random_state=0, progress=False,
    ... )
    >>> result = searcher.search(digits)
    >>> result.cell == max(result.final_choice.candidates, key=lambda one: one.accuracy).cell
    True
    """

    _collapse_shows = "at the end"

    epochs: int = 250
    batch_size: int = 128
    learning_rate: float = 0.05
    minimum_learning_rate: float = 0.0005
    learning_rate_period: int = 10
    weight_decay: float = 2.5e-4
    controller_hidden_size: int = 32
    controller_layers: int = 2
    controller_temperature: float = 5.0
    controller_tanh_constant: float = 2.5
    controller_updates: int = 50
    controller_samples: int = 20
    controller_learning_rate: float = 1e-3
    controller_epsilon: float = 1e-3
    controller_betas: tuple[float, float] = (0.0, 0.999)
    controller_gradient_clip: float | None = 5.0
    entropy_weight: float = 1e-4
    baseline_decay: float = 0.99
    n_candidates: int = 100

    _constraints: ClassVar[Constraints] = {
        "learning_rate_period": POSITIVE_INTEGER,
        "controller_hidden_size": POSITIVE_INTEGER,
        "controller_layers": POSITIVE_INTEGER,
        "controller_temperature": POSITIVE,
        "controller_tanh_constant": POSITIVE,
        "controller_updates": POSITIVE_INTEGER,
        "controller_samples": POSITIVE_INTEGER,
        "controller_learning_rate": NOT_NEGATIVE,
        "controller_epsilon": POSITIVE,
        "controller_betas": DECAY_RATES,
        "controller_gradient_clip": POSITIVE.or_none().with_hint("None is for no clipping"),
        "entropy_weight": NOT_NEGATIVE,
        "baseline_decay": DECAY_RATE.with_hint("1 would never move; take 0.99"),
        "n_candidates": POSITIVE_INTEGER,
    }

    @property
    def id(self) -> str:
        """``"enas"``."""
        return "enas"

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        """Count images that train the weights, and what rewards and the final choice take."""
        one_batch = min(self.batch_size, n_architecture_samples)
        evaluated = one_batch if self.protocol == "paper" else n_architecture_samples
        n_updates = self.epochs * self.controller_updates
        return super().work(n_weight_samples, n_architecture_samples) | {
            "update": float(n_updates),
            "reward": float(n_updates * self.controller_samples * one_batch),
            "candidate": float(self.n_candidates * evaluated),
        }

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        return super().shortened()._with(controller_updates=1, controller_samples=1, n_candidates=1)

    def lengthenings(self) -> list[Lengthening]:
        """List how a short search is made longer, in the weights and in the controller."""
        counted_by = ("controller_updates", "controller_samples", "n_candidates")
        return super().lengthenings() + [self._lengthening(name) for name in counted_by]

    @property
    def _conv_bias(self) -> bool:
        # In evaluation mode running statistics do not cancel it.
        return self.protocol == "paper"

    def _create_batches(self, data: SearchData) -> SeparateBatches:
        return SeparateBatches(
            data,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            steps_per_epoch=self.steps_per_epoch,
        )

    def _progress_per_epoch(self, batches: SeparateBatches) -> int:
        return batches.steps_per_epoch + self.controller_updates * self.controller_samples

    def _create_state(self, data: SearchData, seed: int) -> ControllerState:
        generator = stream(seed, "initialization")
        supernet = self._create_supernet(data, generator)
        controller = Controller(
            n_edges(self.n_nodes),
            self.controller_hidden_size,
            self.controller_layers,
            self.controller_temperature,
            self.controller_tanh_constant,
            generator,
            len(supernet.space),
        )
        return ControllerState(
            supernet=supernet,
            controller=controller,
            weight_optimizer=self._create_weight_optimizer(supernet),
            controller_optimizer=torch.optim.Adam(
                controller.parameters(),
                lr=self.controller_learning_rate,
                betas=self.controller_betas,
                eps=self.controller_epsilon,
            ),
            generators={
                name: stream(seed, name)
                for name in ("weight batches", "architecture batches", "operations")
            },
            run=RunOperations(supernet) if self.protocol == "paper" else None,
        )

    def _run_epoch(
        self,
        state: ControllerState,
        batches: SeparateBatches,
        history: Sequence[EpochRecord],
        bar: tqdm[Any],
    ) -> EpochRecord:
        start = time.perf_counter()
        epoch = len(history)
        rate = cosine_learning_rate(
            epoch, self.learning_rate_period, self.learning_rate, self.minimum_learning_rate
        )
        set_learning_rate(state.weight_optimizer, rate)
        with deterministic_kernels():
            train_loss, train_accuracy = train_shared_weights(
                state, batches, bar, gradient_clip=self.gradient_clip
            )
            check_loss(train_loss, epoch, rate)
            sampled = train_controller(
                state,
                batches,
                bar,
                n_updates=self.controller_updates,
                n_samples=self.controller_samples,
                protocol=self.protocol,
                entropy_weight=self.entropy_weight,
                decay=self.baseline_decay,
                gradient_clip=self.controller_gradient_clip,
            )
        with torch.no_grad():
            greedy = state.controller.greedy()
        return EpochRecord(
            epoch=epoch,
            cell=Cell.from_indices(greedy.operations[0].tolist(), state.supernet.space),
            architecture_weights=tuple(map(tuple, greedy.probabilities[0].tolist())),
            learning_rate=rate,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            architecture_loss=sampled.loss,
            architecture_accuracy=sampled.accuracy,
            seconds=time.perf_counter() - start,
            details={
                "reward": sampled.reward,
                "entropy": sampled.entropy,
                "baseline": sampled.baseline,
            },
        )

    def _choose(
        self,
        state: ControllerState,
        batches: SeparateBatches,
        history: list[EpochRecord],  # noqa: ARG002
        keep: Callable[[], None],  # noqa: ARG002
    ) -> FinalChoice:
        select = select_by_one_batch_each if self.protocol == "paper" else select_by_all
        with (
            tqdm(
                total=self.n_candidates,
                desc=f"choosing, {self.id}",
                unit="cell",
                disable=hides_progress(self.progress),
            ) as bar,
            deterministic_kernels(),
            measuring(state.supernet, self.protocol),
        ):
            return select(state, batches, self.n_candidates, bar)

    def _remedies(self) -> list[str]:
        reads_statistics = self.protocol == "paper" and self.track_running_stats is not False
        return ["track_running_stats=False"] if reads_statistics else []
