"""Two ways to score cells: trained alone, or with the weights of one supernet."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.agreement.evaluator import Evaluator
from proxysample.checks import (
    NOT_NEGATIVE,
    POSITIVE_INTEGER,
    Constraints,
    check_values,
    constraints_of,
    instance_of,
)
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.wording import pluralize
from proxysample_nas.data.images import LabelledImages, load_images
from proxysample_nas.data.loader import STANDARD_AUGMENTATION, Augmentation, Loader, shuffled
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers.candidates import draw_cells
from proxysample_nas.searchers.checkpoint import ANEW, load_tensors, save_tensors
from proxysample_nas.searchers.state import Parts
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.optimization import (
    check_loss,
    cosine_learning_rate,
    import_what_optimizers_import,
    set_learning_rate,
)
from proxysample_nas.training.trainer import CellTrainer

TwoParts = tuple[LabelledImages, LabelledImages]

FORMAT = "proxysample-nas supernet 1"

SMALL_BUDGET: dict[str, Any] = {
    "channels": 8,
    "cells_per_stage": 1,
    "epochs": 4,
    "batch_size": 64,
    "learning_rate": 0.1,
}
"""What a cell is trained with alone where nothing else is said: about 40 s of a core on 10,000
images of 32x32 pixels."""


class CellScorer(Evaluator):
    """Scores cells by percent right on the held-out images."""

    noun: ClassVar[str] = "cell"

    def name_of(self, configuration: Any) -> str:
        """Name a cell by its string."""
        return str(configuration)

    def prepare(self, train: Any, held_out: Any) -> TwoParts:
        """Read both parts onto the device."""
        import_what_optimizers_import()
        device = resolve_device()
        images = load_images(train, device=device)
        return images, load_images(held_out, classes=images.classes, device=device)

    @abc.abstractmethod
    def score(
        self,
        configurations: Sequence[Cell],
        data: TwoParts,
        kept: IntArray,
        *,
        seed: int,
        passes: float,
    ) -> list[float]:
        """See `Evaluator.score`."""


@dataclass(frozen=True)
class TrainedAlone(CellScorer):
    """Each cell's network is trained from scratch.

    Parameters
    ----------
    trainer : CellTrainer
        Its seeds are not used.

    Examples
    --------
    >>> TrainedAlone(CellTrainer(epochs=2)).specification["trainer"]["epochs"]
    2
    """

    trainer: CellTrainer

    @property
    def specification(self) -> dict[str, Any]:
        """The trainer's parameters."""
        return {"scored": "alone", "trainer": self.trainer.parameters()}

    def describe(self) -> str:
        """Say how a cell is trained."""
        one = self.trainer
        return (
            f"Each cell was trained alone: C={one.channels}, "
            f"{pluralize(one.cells_per_stage, 'cell')} a stage, "
            f"{pluralize(one.epochs, 'epoch')}, batches of {one.batch_size}, learning rate "
            f"{one.learning_rate:g}; its score is the percent right of the held-out images after "
            "the last epoch."
        )

    def score(
        self,
        configurations: Sequence[Cell],
        data: TwoParts,
        kept: IntArray,
        *,
        seed: int,
        passes: float,
    ) -> list[float]:
        """Train one after the other."""
        train, held_out = data
        part = train.take(torch.from_numpy(kept))
        trainer = self.trainer
        if trainer.normalization is None:
            # Of the kept images, and not of those that an equal number of updates repeats.
            trainer = replace(trainer, normalization=Normalization.of(part.images))
        if passes != 1:
            # Every epoch is as long as on the full data, and each image as frequent as any other.
            part = part.take(repeated(len(part), passes, seed))
        return [
            trainer.train_once(cell, part, held_out, seed, split="held out").accuracy
            for cell in configurations
        ]


@dataclass(frozen=True, kw_only=True)
class OneSupernet(CellScorer):
    """One supernet is trained on a proxy, a uniformly drawn cell for each batch; all cells use it.

    So searchers that share weights see cells. It costs one training a proxy however many cells
    are ranked. A cell is scored with the statistics of the batches of held-out images, since
    running statistics would be averages over all cells (Bender et al. 2018, section 3.4).

    Parameters
    ----------
    n_nodes : int
        Of the cells.
    space : SearchSpace
        What cells are drawn from.
    channels, cells_per_stage : int
        Size of the network.
    epochs, batch_size : int
        Of the training.
    learning_rate, momentum, weight_decay : float
        Of SGD with Nesterov's momentum; the rate falls along a cosine to a hundredth.
    gradient_clip : float
        Largest L2 norm of the gradient.
    augmentation : Augmentation or None
    scoring_batch_size : int
        Held-out images that are normalised together.
    """

    n_nodes: int = 4
    space: SearchSpace = NAS_BENCH_201
    channels: int = 8
    cells_per_stage: int = 1
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    gradient_clip: float = 5.0
    augmentation: Augmentation | None = STANDARD_AUGMENTATION
    scoring_batch_size: int = 500

    keeps_checkpoint: ClassVar[bool] = True

    _constraints: ClassVar[Constraints] = {
        "n_nodes": POSITIVE_INTEGER,
        "channels": POSITIVE_INTEGER,
        "cells_per_stage": POSITIVE_INTEGER,
        "epochs": POSITIVE_INTEGER,
        "batch_size": POSITIVE_INTEGER,
        "learning_rate": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "gradient_clip": NOT_NEGATIVE,
        "augmentation": instance_of(Augmentation).or_none(),
        "scoring_batch_size": POSITIVE_INTEGER,
    }

    def __post_init__(self) -> None:
        check_values(vars(self), constraints_of(type(self)))

    @property
    def specification(self) -> dict[str, Any]:
        """All parameters."""
        augmentation = None if self.augmentation is None else asdict(self.augmentation)
        changed = {"space": list(self.space.operations), "augmentation": augmentation}
        return {"scored": "supernet", "parameters": vars(self) | changed}

    def describe(self) -> str:
        """Say how the supernet is trained."""
        return (
            "All cells were scored with the weights of one supernet for each proxy, trained on a "
            f"uniformly drawn cell for every batch: C={self.channels}, "
            f"{pluralize(self.cells_per_stage, 'cell')} a stage, "
            f"{pluralize(self.epochs, 'epoch')}, batches of {self.batch_size}, learning rate "
            f"{self.learning_rate:g}; a cell's score is the percent right of the held-out images, "
            f"normalised by the statistics of batches of {self.scoring_batch_size}."
        )

    def together(self, configurations: Sequence[Cell]) -> list[list[Cell]]:
        """All use one supernet."""
        return [list(configurations)]

    def score(
        self,
        configurations: Sequence[Cell],
        data: TwoParts,
        kept: IntArray,
        *,
        seed: int,
        passes: float,
        checkpoint: Path | None = None,
    ) -> list[float]:
        """Train one supernet, kept after every epoch, and score every cell with it."""
        train, held_out = data
        part = train.take(torch.from_numpy(kept))
        normalization = Normalization.of(part.images)
        with deterministic_kernels():
            supernet = self._train(part, normalization, seed, passes, checkpoint)
            return self._scores(supernet, configurations, held_out, normalization)

    def _train(
        self,
        part: LabelledImages,
        normalization: Normalization,
        seed: int,
        passes: float,
        checkpoint: Path | None,
    ) -> Supernet:
        generator = torch.Generator().manual_seed(seed)
        supernet = Supernet(
            self.n_nodes,
            self.channels,
            self.cells_per_stage,
            part.n_classes,
            part.n_channels,
            # Batches bring their own statistics, also where cells are scored.
            track_running_stats=False,
            generator=generator,
            space=self.space,
        ).to(part.images.device)
        weights = list(supernet.parameters())
        optimizer = torch.optim.SGD(
            weights,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )
        loader = Loader(
            part,
            batch_size=self.batch_size,
            normalization=normalization,
            augmentation=self.augmentation,
        )
        size = round(passes * len(part))
        supernet.train()
        state = Parts({"supernet": supernet}, {"optimizer": optimizer}, {"drawing": generator})
        n_done = 0 if checkpoint is None else _go_on(checkpoint, state)
        for epoch in range(n_done, self.epochs):
            rate = cosine_learning_rate(
                epoch, self.epochs, self.learning_rate, self.learning_rate / 100
            )
            set_learning_rate(optimizer, rate)
            total = torch.zeros((), dtype=torch.float64, device=part.images.device)
            order = shuffled(len(part), generator, size)
            for images, labels in loader.batches(order, generator):
                (cell,) = draw_cells(
                    1, self.n_nodes, connected_only=True, generator=generator, space=self.space
                )
                logits = supernet.forward_sampled(images, self.space.indices_of(cell))
                loss = F.cross_entropy(logits, labels)
                # None, and not zero: what did not run is neither moved nor decayed.
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(weights, self.gradient_clip)
                optimizer.step()
                total += loss.detach().double() * len(labels)
            check_loss(float(total) / size, epoch, rate)
            if checkpoint is not None:
                tensors = state.to_tensors() | {"n_epochs": torch.tensor(epoch + 1)}
                save_tensors(checkpoint, tensors, {"format": FORMAT})
        return supernet

    @torch.no_grad()
    def _scores(
        self,
        supernet: Supernet,
        cells: Sequence[Cell],
        held_out: LabelledImages,
        normalization: Normalization,
    ) -> list[float]:
        n_batches = -(-len(held_out) // self.scoring_batch_size)
        loader = Loader(
            held_out,
            # Even batches: the last one's statistics are as good as the others'.
            batch_size=-(-len(held_out) // n_batches),
            normalization=normalization,
        )
        # The held-out part may stand in the order of its classes, and every batch has to be mixed.
        order = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))
        right = torch.zeros(len(cells), dtype=torch.int64, device=held_out.images.device)
        chosen = [self.space.indices_of(cell) for cell in cells]
        for images, labels in loader.batches(order):
            for place, operations in enumerate(chosen):
                logits = supernet.forward_sampled(images, operations)
                right[place] += (logits.argmax(dim=1) == labels).sum()
        scores: list[float] = (100 * right.double() / len(held_out)).tolist()
        return scores


def _go_on(path: Path, state: Parts) -> int:
    """Bring a training to where its file left it, if there is one; say how many epochs are done."""
    if not path.exists():
        return 0
    metadata, tensors = load_tensors(path)
    try:
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
        n_done = int(tensors.pop("n_epochs"))
        state.load_tensors(tensors)
    # What torch and Python say of tensors that are missing, or of another shape or type.
    except (RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is no whole training of a supernet ({error}); {ANEW}") from error
    return n_done


def repeated(n: int, passes: float, seed: int) -> Tensor:
    """Give places of n samples, each as often as any other to within one, `passes` times n in all.

    Examples
    --------
    >>> sorted(repeated(3, 5 / 3, seed=0).bincount().tolist())
    [1, 2, 2]
    """
    return shuffled(n, torch.Generator().manual_seed(seed), round(passes * n))
