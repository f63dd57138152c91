"""Loss of a classifier on a pretrained backbone: samples that it gets wrong go first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from proxysample.checks import DEVICE, POSITIVE, POSITIVE_INTEGER, Constraints, integer_from
from proxysample.data.labels import encode_labels
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.device import deterministic_kernels, draw_seeds, resolve_device
from proxysample.errors import InputError, unknown_name
from proxysample.keeping import FloatArray, IntArray, Keep
from proxysample.printing import shown
from proxysample.sampler import Protocol, Reads, clone_keeping
from proxysample.samplers.base import DecodingSampler
from proxysample.samplers.random import RandomState

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from proxysample.features.backbones import Backbone
    from proxysample.features.batches import DeviceRows, ImageTensors
    from proxysample.samplers.networks import ClassificationHead

LabelArray = npt.NDArray[Any]

MOMENTUM = 0.9
WEIGHT_DECAY = 3e-4


class TransferLoss(DecodingSampler):
    """Keep the samples that a transferred classifier gets right (tl; section 3.3.3, equation 7).

    A small head is trained on the features of a frozen, pretrained backbone; the score of a
    sample is its cross-entropy, in nats. Labels are needed, but the kept set does not hold class
    shares: an easy class keeps more samples than a hard one.

    Parameters
    ----------
    backbone : str or nn.Module
        Name of a timm model (extra ``transfer``) or of a registered backbone, or a module that
        maps images (n, channels, height, width), float32 in [0, 1], to features (n, d). Not used
        where the dataset holds features already. The default works without a network (extra
        ``pretrained``); the authors' is ``"resnet18"``.
    features : ndarray of shape (n, d), Features, str or path, optional
        In place of those that the backbone would give: an array, what `proxysample.embed` made,
        or ``"embed:FOLDER"`` where it lies. No image is read then, and those on disk are read by
        rows as they are used.
    weights : {"auto", "package", "hub"}
        Where a named backbone's ImageNet weights come from: an installed package, timm's hub,
        or whichever of the two is there, in this order; `weights_` says which.
    input_size : int, optional
        Resize the shorter side of images to so many pixels and crop the centre. By default
        images come to a named backbone's size, with its crop, as in its training; those
        with a side of less than 96 pixels come to 96, at which a backbone sees far more in
        them than at 32. With `protocol` "paper", and for a module, they keep their size; images
        of several sizes come to 64 there.
    keep : str or KeepingRule
        ``"easy"`` keeps low scores (the paper's choice), ``"hard"`` high ones; or another rule, by
        its id or with parameters.
    epochs : int
        Passes over the dataset. The authors run 75 at a constant learning rate and score the
        checkpoint after 50, which the other 25 cannot change.
    learning_rate : float
        Of SGD with momentum 0.9 and weight decay 3e-4.
    training_batch_size : int
        Samples of one step of training, at least 2.
    protocol : {"default", "paper"}
        "paper" does what the authors' code does: no normalisation of the inputs, batch
        normalisation of the backbone in training mode while the head is trained, so that its
        statistics drift towards the dataset and features are computed in every epoch, and
        ``int(n * r)`` samples kept. The default normalises as the backbone was trained, holds
        it in evaluation mode, and computes the features once.
    random_state : int, Generator or None
        Seed of the head's initial weights, the order of training and dropout; None draws a new
        one each time.
    device : str or torch.device
        "auto" takes the first CUDA device where there is one. Scores differ a little between
        kinds of device and numbers of threads, whose sums round otherwise.
    progress : bool
        Show progress bars while decoding, computing features and training.
    cache : bool or path
        Where decoded images are kept for the passes of `protocol` "paper", if they take more than
        64 MB: True in the folder for temporary files, a path in another folder, in a file that
        goes away with the process; False in memory, up to 4 GB.

    Attributes
    ----------
    head_ : ClassificationHead
        Trained, in evaluation mode.
    backbone_ : Backbone or None
        A copy, in evaluation mode; None where the dataset held features.
    weights_ : str or None
        "package", "hub", or "given" with a module; None without a backbone.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    loss_curve_ : ndarray of shape (epochs,), float64
        Mean training loss of each epoch.

    Notes
    -----
    Images are uint8, uint16, or floating point in [0, 1]; for a module of yours, floating point of
    any values, such as normalised ones. The head is linear to 256 units, batch
    normalisation, ReLU, dropout of a half, and linear to the classes, as in the authors' code.

    Examples
    --------
    >>> from proxysample import TransferLoss
    >>> features = np.array([[0.0], [0.1], [0.2], [1.0], [1.1], [1.2], [1.3]])
    >>> labels = ["a", "a", "a", "b", "b", "b", "a"]
    >>> sampler = TransferLoss(learning_rate=0.1, random_state=0)
    >>> sampler.select(features, r=6 / 7, y=labels).tolist()
    [0, 1, 2, 3, 4, 5]
    """

    id: ClassVar[str] = "tl"
    needs_labels: ClassVar[bool] = True
    _constraints: ClassVar[Constraints] = {
        "epochs": POSITIVE_INTEGER,
        "training_batch_size": integer_from(2).with_hint("the head has a BatchNorm"),
        "input_size": POSITIVE_INTEGER.or_none(),
        "learning_rate": POSITIVE,
        "device": DEVICE,
    }

    backbone: str | nn.Module = "tf_efficientnet_lite0"
    features: Any = None
    weights: Any = "auto"
    input_size: int | None = None
    keep: Keep = "easy"
    epochs: int = 50
    learning_rate: float = 1e-3
    training_batch_size: int = 128
    protocol: Protocol = "default"
    random_state: RandomState = None
    device: Any = "auto"

    @property
    def reads(self) -> Reads:  # type: ignore[override]  # follows a parameter
        """What is read beside labels: nothing where features are given."""
        return "features" if self.features is None else "labels"

    @property
    def algorithm_version(self) -> int:
        """2 since a named backbone gets images of the size that it was trained on."""
        return 1 if self.protocol == "paper" else 2

    def _check_parameters(self) -> None:
        _check_backbone(self.backbone, self.weights)
        if self.features is None:
            return
        _check_features(self.features)
        if self.protocol == "paper":
            raise InputError(
                "protocol='paper' computes features in every epoch, with a backbone that drifts: "
                "leave features out, or take protocol='default'"
            )

    def __sklearn_clone__(self) -> Self:
        return clone_keeping(self, "features")

    def _check_availability(self) -> None:
        resolve_device(self.device)

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        from proxysample.features.batches import DeviceRows

        if self.features is not None:
            return self._score_given(samples)
        # First, so that a name that cannot be loaded is told before anything is decoded.
        backbone = self._load_backbone(samples)
        if samples.tells_labels_early or self.protocol == "paper":
            labels = self._labels(samples)
        self.backbone_ = None if backbone is None or is_of_features(samples) else backbone
        self.weights_ = None if self.backbone_ is None else self.backbone_.weights
        device = resolve_device(self.device)
        with deterministic_kernels():
            if self.backbone_ is None:
                features = flat_features(samples)
            elif self.protocol == "default":
                # Labels that are only in the items come with the images, in the same pass.
                features = self._features(self.backbone_, samples, device)
            else:
                targets = DeviceRows(labels, device, read_often=True)
                return self._score_drifting(self.backbone_, samples, targets)
            targets = DeviceRows(self._labels(samples), device, read_often=True)
            return self._score_features(features, targets)

    def _score_given(self, samples: Samples) -> FloatArray:
        from proxysample.features.batches import DeviceRows
        from proxysample.features.sources import given_features, labels_beside

        given = given_features(samples, self.features)
        beside = None
        if samples.cheap_labels is None:
            beside = labels_beside(samples, self.features)
        labels = self._labels(samples, beside)
        self.backbone_ = self.weights_ = None
        targets = DeviceRows(labels, resolve_device(self.device), read_often=True)
        with deterministic_kernels():
            return self._score_features(np.asarray(given), targets)

    def _labels(self, samples: Samples, known: LabelArray | None = None) -> IntArray:
        self.classes_, labels = encode_labels(samples.required_labels if known is None else known)
        if len(self.classes_) < 2:
            (label,) = self.classes_.tolist()
            raise InputError(
                f"all labels are {label!r}; the loss of a classifier needs two classes or more: "
                "use a sampler without labels, such as 'ae' or 'km-or'"
            )
        return labels

    def _load_backbone(self, samples: Samples) -> Backbone | None:
        from proxysample.features.backbones import as_backbone

        array = samples.array
        if array is not None and array.ndim == 2:
            return None
        backbone = as_backbone(self.backbone, self.weights, self.input_size)
        if self.protocol == "paper":
            backbone.normalises = False
            backbone.native = None
        return backbone

    def _features(self, backbone: Backbone, samples: Samples, device: torch.device) -> Tensor:
        from proxysample.features.backbones import extract_features
        from proxysample.features.batches import ImageTensors

        images = ImageTensors(samples, device, any_range=backbone.any_range)
        return extract_features(backbone.to(device), images, self.progress)

    def _score_drifting(
        self, backbone: Backbone, samples: Samples, targets: DeviceRows
    ) -> FloatArray:
        from proxysample.features.backbones import extract_features
        from proxysample.features.batches import DeviceRows, ImageTensors

        images = ImageTensors(
            samples, targets.device, read_often=True, any_range=backbone.any_range
        )
        backbone.to(images.device)
        self._train_drifting(backbone, images, targets)
        features = extract_features(backbone, images, self.progress)
        return self._losses(DeviceRows(features, targets.device), targets)

    def _score_features(
        self, computed: Tensor | npt.NDArray[Any], targets: DeviceRows
    ) -> FloatArray:
        from proxysample.features.batches import DeviceRows

        features = DeviceRows(computed, targets.device, read_often=True)
        self._train_head(lambda rows: features[rows].float(), features.shape[1], targets)
        return self._losses(features, targets)

    def _train_drifting(
        self, backbone: Backbone, images: ImageTensors, targets: DeviceRows
    ) -> None:
        import torch

        def features_of(rows: IntArray) -> Tensor:
            with torch.no_grad():
                features: Tensor = backbone(images[rows])
            return features.float()

        # In evaluation mode, so that counting the features leaves the statistics alone.
        n_features = features_of(np.arange(1)).shape[1]
        backbone.drift(True)
        try:
            self._train_head(features_of, n_features, targets)
        finally:
            backbone.drift(False)

    def _train_head(
        self, features_of: Callable[[IntArray], Tensor], n_features: int, targets: DeviceRows
    ) -> None:
        import torch
        from torch.nn import functional as F

        from proxysample.samplers.networks import ClassificationHead, initialized, train

        weights_seed, order_seed, dropout_seed = draw_seeds(self.random_state, 3)
        head = initialized(lambda: ClassificationHead(n_features, len(self.classes_)), weights_seed)
        head.to(targets.device)
        dropout = torch.Generator().manual_seed(dropout_seed)

        def loss_of(rows: IntArray) -> Tensor:
            loss: Tensor = F.cross_entropy(head(features_of(rows), dropout), targets[rows])
            return loss

        self.loss_curve_ = train(
            loss_of,
            torch.optim.SGD(
                head.parameters(), self.learning_rate, MOMENTUM, weight_decay=WEIGHT_DECAY
            ),
            n_samples=len(targets),
            epochs=self.epochs,
            batch_size=self.training_batch_size,
            generator=torch.Generator().manual_seed(order_seed),
            progress=self.progress,
        )
        self.head_: ClassificationHead = head.eval()

    def _losses(self, features: DeviceRows, targets: DeviceRows) -> FloatArray:
        import torch
        from torch.nn import functional as F

        from proxysample.features.batches import gather_on_host

        def losses_of(rows: slice) -> Tensor:
            logits = self.head_(features[rows].float()).double()
            return F.cross_entropy(logits, targets[rows], reduction="none")

        starts = range(0, len(features), ROWS_PER_CHUNK)
        with torch.inference_mode():
            losses = (losses_of(slice(start, start + ROWS_PER_CHUNK)) for start in starts)
            return gather_on_host(losses, len(features)).numpy()


def _check_features(features: object) -> None:
    from proxysample.features.sources import check_features
    from proxysample.features.store import is_kept

    if not is_kept(features) and not hasattr(features, "__array__"):
        raise InputError(
            f"features must be an array (n, d), what embed gave, or 'embed:FOLDER', not "
            f"{shown(features)}; a network is given as backbone"
        )
    check_features(features, None)


def _check_backbone(backbone: object, weights: object) -> None:
    from torch import nn

    from proxysample.features.backbones import WEIGHTS

    if not isinstance(backbone, str | nn.Module):
        raise InputError(
            f"backbone must be the name of a timm model or an nn.Module, not {backbone!r}; "
            "features (n, d) are given as the dataset"
        )
    if not isinstance(weights, str) or weights not in WEIGHTS:
        raise unknown_name("source of weights", weights, WEIGHTS)


def is_of_features(samples: Samples) -> bool:
    """Tell whether a dataset holds vectors in place of images; one sample at most is decoded."""
    array = samples.array
    if array is None and samples.is_held:
        return len(samples.images.shape) == 2
    shape = samples.rows(np.zeros(1, dtype=np.int64))[0].shape if array is None else array.shape[1:]
    return len(shape) == 1


def flat_features(samples: Samples) -> torch.Tensor | npt.NDArray[Any]:
    """Read features as one tensor, or give those that are read as they are used.

    Parameters
    ----------
    samples : Samples
        Features (n, d).

    Returns
    -------
    Tensor of shape (n, d), float32, or ndarray of shape (n, d)
        On the CPU.
    """
    import torch

    array = samples.array
    if array is not None and array.dtype in (np.float16, np.float32):
        return np.asarray(samples.images)
    return torch.cat([torch.from_numpy(chunk).float() for _, chunk in samples.feature_chunks()])
