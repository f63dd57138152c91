"""A cell's network after its training: to predict with, to keep in a file, to take elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from proxysample.checks import POSITIVE_INTEGER
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError
from proxysample.files import as_path, check_output, check_regular, replace_file
from proxysample.isolation import isolated
from proxysample.printing import shown
from proxysample.records import (
    INTEGER,
    TEXT,
    UNWRITTEN,
    Count,
    Kind,
    Measure,
    Percent,
    Positive,
    Record,
    one_of,
    read_json,
)
from proxysample.wording import pluralize
from proxysample_nas.data.images import load_images, load_pixels
from proxysample_nas.data.loader import Loader
from proxysample_nas.data.normalization import Normalization, Normalize, ScriptedNormalize
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import AUTOCAST_DTYPES, N_STAGES, CellNetwork
from proxysample_nas.training.optimization import measure_accuracy

FORMAT = "proxysample-nas network 1"
SUFFIX = ".safetensors"

# So many edges take seconds to build. Where none has parameters, the file's size is no bound.
MOST_EDGES = 50_000

LABEL = Kind("an integer or a text", lambda value: INTEGER.accepts(value) or TEXT.accepts(value))

_DTYPES = {torch.float32: "F32", torch.int64: "I64"}


@dataclass(frozen=True)
class _Architecture(Record, title="what it says"):
    """What a network is built of."""

    cell: Cell
    channels: Positive
    cells_per_stage: Positive
    n_classes: Positive
    in_channels: Positive
    precision: Annotated[str, one_of(*AUTOCAST_DTYPES)]

    @classmethod
    def of(cls, network: CellNetwork) -> Self:
        dtype = network.autocast_dtype
        names = [name for name, one in AUTOCAST_DTYPES.items() if one == dtype]
        if not names:
            raise InputError(f"a network that multiplies in {dtype} is not kept in a file")
        return cls(
            network.cell,
            network.channels,
            network.cells_per_stage,
            network.n_classes,
            network.in_channels,
            precision=names[0],
        )

    def __post_init__(self) -> None:
        n_edges = N_STAGES * self.cells_per_stage * len(self.cell.operations)
        if n_edges > MOST_EDGES:
            raise InputError(
                f"a network of {n_edges:,} edges is not kept in a file; {MOST_EDGES:,} is the most"
            )

    def build(self) -> CellNetwork:
        """Build the network on the meta device, where it takes no memory whatever its size."""
        with torch.device("meta"):
            return CellNetwork(
                self.cell,
                self.channels,
                self.cells_per_stage,
                self.n_classes,
                self.in_channels,
                autocast_dtype=AUTOCAST_DTYPES[self.precision],
            )


class _Normalized(nn.Sequential):
    def __prepare_scriptable__(self) -> nn.Module:
        """Give `torch.jit.script` other parts in a new network; it replaces them in place."""
        layer, network = cast("tuple[Normalize, CellNetwork]", tuple(self))
        return nn.Sequential(ScriptedNormalize(layer), network.__prepare_scriptable__())


@dataclass(frozen=True, eq=False, repr=False)
class TrainedCell(Record, title="what it says"):
    """A network that `CellTrainer` has trained, and what is needed to use it.

    Attributes
    ----------
    network : CellNetwork
        A plain ``nn.Module`` in evaluation mode, on the device where it was trained. It takes
        normalised images (b, c, h, w) and gives logits (b, n_classes); what `with_normalization`
        gives takes images as they are.
    classes : tuple of int or str
        The labels, in the order of the logits.
    image_shape : tuple of int
        Channels, height and width of the images that it was trained on. Others of as many
        channels can be given.
    normalization : Normalization
        Of the images that the network takes.
    seed : int
        Of the initial weights and the order of the batches.
    train_losses : tuple of float
        Mean cross-entropy, in nats, of each epoch's batches while they were trained on.
    train_accuracy : float
        Percent of the augmented training images right during the last epoch.

    Raises
    ------
    InputError
        If the network, the classes, the images and the normalisation do not fit one another.

    Examples
    --------
    >>> from proxysample_nas.training.trainer import CellTrainer
    >>> images = np.repeat(np.arange(0, 240, 30, dtype=np.uint8), 64).reshape(8, 8, 8)
    >>> data = load_images(images, y=["dark"] * 4 + ["light"] * 4)
    >>> trainer = CellTrainer(channels=4, cells_per_stage=1, epochs=9, progress=False)
    >>> trained = trainer.fit(Cell.from_string("|nor_conv_3x3~0|"), data)
    >>> trained.predict(images[[0, 7]]).tolist()
    ['dark', 'light']
    >>> trained.with_normalization()(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 2])
    """

    network: CellNetwork = field(metadata=UNWRITTEN)
    classes: tuple[Annotated[int | str, LABEL], ...]
    image_shape: tuple[Positive, Positive, Positive]
    normalization: Normalization
    seed: Count
    train_losses: tuple[Measure, ...]
    train_accuracy: Percent

    def __post_init__(self) -> None:
        channels = {self.network.in_channels, self.image_shape[0], len(self.normalization.mean)}
        if len(channels) > 1:
            raise InputError(
                f"the network takes {self.network.in_channels} channels, the images have "
                f"{self.image_shape[0]} and the normalisation {len(self.normalization.mean)}"
            )
        if not self.network.n_classes == len(self.classes) == len(set(self.classes)):
            raise InputError(
                f"the network has {self.network.n_classes} outputs, which need as many distinct "
                f"classes, not {len(self.classes)} with {len(set(self.classes))} names"
            )

    def __repr__(self) -> str:
        """Show the cell, and what the training came to."""
        n_classes = pluralize(len(self.classes), "class")
        return (
            f"TrainedCell({self.cell}, {n_classes}, seed {self.seed}, "
            f"{self.train_accuracy:.2f} % of train)"
        )

    @property
    def cell(self) -> Cell:
        """The network's cell."""
        return self.network.cell

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @isolated()
    def with_normalization(self) -> nn.Module:
        """Put the normalisation in front of the network.

        Returns
        -------
        nn.Sequential
            Takes images (b, c, h, w), uint8 or floating point in [0, 1], and gives logits. It
            holds the network itself, not a copy.
        """
        return _Normalized(Normalize(self.normalization).to(self.device), self.network).eval()

    @isolated()
    def predict(self, dataset: Any, *, batch_size: int = 256) -> npt.NDArray[Any]:
        """Tell the class of every image.

        Parameters
        ----------
        dataset : object
            Images that `proxysample.data.reading.Samples` reads: numpy arrays are channels last,
            tensors channels first. Labels are not looked at.
        batch_size : int
            Images at a time.

        Returns
        -------
        ndarray of shape (n,)
            Out of `classes`.

        Raises
        ------
        InputError
            If the images cannot be used.
        """
        POSITIVE_INTEGER.check("batch_size", batch_size)
        channels, *size = self.image_shape
        shape = getattr(dataset, "shape", None)
        if shape == (*size, channels):
            raise InputError(f"one image, of shape {shape}, is no dataset: pass image[None]")
        network = self.with_normalization()
        batches = torch.split(load_pixels(dataset, device=self.device), batch_size)
        with torch.no_grad():
            codes = torch.cat([network(images).argmax(dim=1) for images in batches])
        predicted: npt.NDArray[Any] = np.asarray(self.classes)[codes.cpu().numpy()]
        return predicted

    @isolated()
    def measure_accuracy(self, test: Any, *, batch_size: int = 256) -> float:
        """Measure the accuracy as `CellTrainer.evaluate` does.

        Parameters
        ----------
        test : object
            A dataset that `load_images` reads.
        batch_size : int
            Images at a time.

        Returns
        -------
        float
            Percent.

        Raises
        ------
        InputError
            If the data cannot be used, or a label is not among `classes`.
        """
        POSITIVE_INTEGER.check("batch_size", batch_size)
        data = load_images(test, classes=self.classes, device=self.device)
        loader = Loader(data, batch_size=batch_size, normalization=self.normalization)
        with deterministic_kernels():
            return measure_accuracy(self.network, loader)

    def to_dict(self) -> dict[str, Any]:
        """Turn all but the weights into plain JSON values."""
        return _Architecture.of(self.network).to_dict() | super().to_dict()

    @isolated()
    def save(self, path: str | Path) -> None:
        """Write the network as a safetensors file: its state dict, and what it is in the header.

        Parameters
        ----------
        path : str or Path
            Ending in ``.safetensors``.

        Raises
        ------
        InputError
            If the file cannot be written, or the network was cast to another type.
        """
        check_output(path, SUFFIX, "a network is saved")
        tensors = {
            name: tensor.cpu().contiguous() for name, tensor in self.network.state_dict().items()
        }
        others = {tensor.dtype for tensor in tensors.values()} - _DTYPES.keys()
        if others:
            raise InputError(f"a network is kept in float32, not {others.pop()}; call .float()")
        metadata = {"format": FORMAT, "network": json.dumps(self.to_dict())}
        with replace_file(path) as stream:
            stream.write(save(tensors, metadata))

    @classmethod
    @isolated()
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Read what `save` wrote. Nothing in the file is run, whoever has made it.

        Parameters
        ----------
        path : str or Path
        device : str or torch.device
            Where the network goes; see `proxysample.device.resolve_device`.

        Returns
        -------
        TrainedCell

        Raises
        ------
        InputError
            If the file is missing, damaged or something else.
        """
        target = resolve_device(device)
        path = as_path(path)
        try:
            check_regular(path)
        except InputError as error:
            raise InputError(f"{path} is no trained network that can be read: {error}") from None
        try:
            with safe_open(path, framework="pt") as file:
                trained = cls._read(file, path)
        except InputError as error:
            raise InputError(f"{path} is no trained network: {error}") from error
        except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path} is no trained network that can be read: {error}") from error
        trained.network.to(target)
        return trained

    @classmethod
    def _read(cls, file: Any, path: str | Path) -> Self:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise InputError(f"its format is {shown(metadata.get('format'))}, not {FORMAT!r}")
        described = read_json(metadata.get("network", ""), str(path))
        network = _Architecture.from_dict(described).build()
        trained = cls.from_dict(described, network=network)
        # Shapes first: neither a large network nor a large file takes memory before they agree.
        _check_tensors(file, network.state_dict())
        # Copies, since what is read may be the file itself, which others may change.
        tensors = {name: file.get_tensor(name).clone() for name in network.state_dict()}
        network.load_state_dict(tensors, assign=True)
        network.eval()
        return trained


def check_network_paths(path: Path | None, seeds: Sequence[int]) -> list[Path]:
    """Say, before the training, where the networks of several seeds will be saved.

    Examples
    --------
    >>> [str(path) for path in check_network_paths(Path("net.safetensors"), [777, 888])]
    ['net-777.safetensors', 'net-888.safetensors']
    """
    if path is None:
        return []
    check_output(path, SUFFIX, "a network is saved")
    if len(seeds) == 1:
        return [path]
    return [path.with_stem(f"{path.stem}-{seed}") for seed in seeds]


def _check_tensors(file: Any, needed: Mapping[str, Tensor]) -> None:
    held = set(file.keys())
    for name in sorted(held ^ needed.keys()):
        verb = "holds" if name in held else "lacks"
        raise InputError(f"it {verb} {name!r:.200}, unlike the network that it names")
    for name, tensor in needed.items():
        claimed = file.get_slice(name)
        found = (tuple(claimed.get_shape()), claimed.get_dtype())
        if found != (tuple(tensor.shape), _DTYPES[tensor.dtype]):
            raise InputError(
                f"its {name} is of the shape {found[0]} and the type {found[1]}, not of "
                f"{tuple(tensor.shape)} and {_DTYPES[tensor.dtype]}"
            )
