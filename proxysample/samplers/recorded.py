"""Samplers that score by training dynamics: of a record, or of a training of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from proxysample.checks import (
    BOOLEAN,
    DEVICE,
    LARGEST_INTEGER,
    POSITIVE,
    POSITIVE_INTEGER,
    Constraint,
    Constraints,
    integer_from,
)
from proxysample.data.labels import encode_labels, plain_label
from proxysample.data.reading import Samples
from proxysample.device import draw_seeds, resolve_device
from proxysample.digests import as_plain, digest_of
from proxysample.dynamics.record import Dynamics
from proxysample.dynamics.recorder import DynamicsRecorder
from proxysample.dynamics.scores import SCORES, confidence, dual_epochs, easy_first
from proxysample.errors import InputError, check_names
from proxysample.features.sources import check_features, reads_for
from proxysample.keeping import Columns, FloatArray, IntArray, Keep
from proxysample.printing import shown
from proxysample.rules.draws import PROBABILITY, BetaDraw
from proxysample.rules.strata import CCS
from proxysample.sampler import Reads, clone_keeping
from proxysample.samplers.base import ImageSampler
from proxysample.samplers.random import RandomState

if TYPE_CHECKING:
    import torch
    from torch import nn

    from proxysample.samplers.self_recording import Trainable

DEFAULT_BACKBONE = "tf_efficientnet_lite0"

Network = Literal["head", "small"]
NETWORKS: tuple[Network, ...] = ("head", "small")


class DynamicsSampler(ImageSampler):
    """Base of samplers that score by what a network made of each sample in each epoch.

    Scores are signed so that low is easy, and where few values are possible, ties go by the mean
    probability of the label, then by index. Samplers differ in the score alone; they share
    parameters and attributes.

    Parameters
    ----------
    record : str, Path, DynamicsRecorder or Dynamics, optional
        Of a training on the very samples of the dataset, in its order: the file of
        `DynamicsRecorder.save`, a recorder, or what `from_arrays` gave. Nothing of the dataset is
        read then. Without it a classifier is trained and recorded here, as the following say.
    options : mapping, optional
        Of the score, such as ``{"epoch": 20}``; see its function in `proxysample.dynamics.scores`.
    network : {"head", "small"} or nn.Module
        What is trained without a record: a linear head on features; a convolutional network of
        74,000 parameters on the pixels; or a copy of a module, from its own weights, that maps
        images (n, channels, height, width), float32 in [0, 1], to logits.
    features : str, ndarray, nn.Module, callable or object with ``transform``, optional
        What the head is trained on; see `KMeansOutlierRemoval`. By default features of a packaged
        backbone (extra ``pretrained``), or the dataset's own vectors.
    folds : int, optional
        Train so many times, each time without a part of the samples, and score each sample by the
        training that it had no part in. By default one training scores its own samples.
    keep : str or KeepingRule, optional
        ``"easy"`` keeps low scores, ``"hard"`` high ones; or another rule, by its id or with
        parameters. None keeps the end that the authors of the score keep, which is `natural`.
    per_class : bool
        Whether classes keep their shares. The authors of all of these scores keep overall.
    epochs : int, optional
        Of the training: 30 of a head, 20 of a network.
    learning_rate : float, optional
        The highest; 0.05 of a head, 0.1 of a network.
    training_batch_size : int
        Samples of one step of training, at least 2.
    random_state : int, Generator or None
        Seed of initial weights, order, folds and shifts; None draws a new one each time.
    device : str or torch.device
        "auto" takes the first CUDA device where there is one.

    Attributes
    ----------
    record_ : DynamicsRecorder or Dynamics
        The record; it serves the other samplers as their `record`.
    """

    gives: ClassVar[Sequence[str]] = (*SCORES, PROBABILITY)
    _constraints: ClassVar[Constraints] = {
        "options": Constraint(
            ("a mapping of names to values",), lambda value: isinstance(value, Mapping)
        ).or_none(),
        "folds": integer_from(2).or_none(),
        "per_class": BOOLEAN,
        "epochs": POSITIVE_INTEGER.or_none(),
        "learning_rate": POSITIVE.or_none(),
        "training_batch_size": integer_from(2).with_hint("the network has a BatchNorm"),
        "device": DEVICE,
    }

    record: Any = None
    options: Mapping[str, Any] | None = None
    network: Network | nn.Module = "head"
    features: Any = None
    folds: int | None = None
    keep: Keep | None = None
    per_class: bool = False
    epochs: int | None = None
    learning_rate: float | None = None
    training_batch_size: int = 128
    random_state: RandomState = None
    device: Any = "auto"

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        known = SCORES.get(cls.score_id())
        if known is not None and "natural" not in vars(cls):
            cls.natural = "low" if known.keeps == "easy" else "high"

    @classmethod
    def score_id(cls) -> str:
        """Name the score; that of the sampler where it has none other."""
        return getattr(cls, "score", getattr(cls, "id", ""))

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]  # follows a parameter
        """Whether a classifier is trained here, or classes keep their shares."""
        return self.record is None or bool(self.per_class)

    @property
    def reads(self) -> Reads:  # type: ignore[override]  # follows parameters
        """What is read beside labels: nothing where there is a record."""
        if self.record is not None:
            return "dynamics"
        if self.network != "head":
            return "pixels"
        if self.features is None:
            return "features"
        found = reads_for(self.features)
        return "labels" if found == "nothing" else found

    def __sklearn_clone__(self) -> Self:
        return clone_keeping(self, "record", "features", "network")

    def named_by(self) -> dict[str, Any]:
        """Give the parameters, with what is recorded in place of a file's name."""
        named = super().named_by()
        if self.record is not None:
            record = self._given_record()
            found = record.dynamics if isinstance(record, DynamicsRecorder) else record
            named["record"] = digest_of([], json.dumps(as_plain(found, "record")))
        return named

    def _check_parameters(self) -> None:
        options = dict(self.options or {})
        name = self.score_id()
        check_names(f"option of the score {name!r}", options, SCORES[name].options)
        if self.record is not None:
            if not isinstance(self.record, str | Path | DynamicsRecorder | Dynamics):
                raise InputError(
                    "record must be a file that DynamicsRecorder.save wrote, a DynamicsRecorder or "
                    f"what from_arrays gave, not {shown(self.record)}"
                )
            return
        self._check_network()
        if self.features is not None:
            check_features(self.features, None)
        if self.epochs is not None and self.epochs < SCORES[name].least_epochs:
            raise InputError(
                f"epochs={self.epochs}; {name} needs {SCORES[name].least_epochs} or more"
            )

    def _check_network(self) -> None:
        from torch import nn

        known = self.network in NETWORKS if isinstance(self.network, str) else False
        if not known and not isinstance(self.network, nn.Module):
            raise InputError(
                f"network must be 'head', 'small' or an nn.Module, not {shown(self.network)}"
            )
        if isinstance(self.network, nn.Module):
            from proxysample.features.backbones import refuse_lazy

            refuse_lazy(self.network)
        if self.features is not None and self.network != "head":
            raise InputError("features are for network='head'; other networks see the pixels")

    def _check_availability(self) -> None:
        if self.record is None:
            resolve_device(self.device)

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        self.record_ = self._recorded(samples)
        dynamics = self._dynamics
        if dynamics.n_samples != len(samples):
            raise InputError(
                f"the record is of {dynamics.n_samples} samples, and the dataset has "
                f"{len(samples)}: it has to be of a training on this very dataset"
            )
        if self.record is not None and (codes is not None or samples.tells_labels_early):
            _refuse_other_labels(dynamics.labels, samples.labels)
        return easy_first(self.score_id(), dynamics, **dict(self.options or {}))

    @property
    def _dynamics(self) -> Dynamics:
        """What was recorded."""
        record = self.record_
        return record.dynamics if isinstance(record, DynamicsRecorder) else record

    def _columns(self, names: Sequence[str]) -> Columns:
        """Give other scores of the record, low being easy, and the mean probability of labels."""
        return {
            name: self._probability() if name == PROBABILITY else easy_first(name, self._dynamics)
            for name in names
        }

    def _probability(self) -> FloatArray:
        return confidence(self._dynamics)

    def _seed_of_rule(self) -> int:
        """Seed a default rule that draws: as the sampler, where that has a number."""
        seed = self.random_state
        return int(seed) % (LARGEST_INTEGER + 1) if isinstance(seed, int | np.integer) else 0

    def _recorded(self, samples: Samples) -> DynamicsRecorder | Dynamics:
        return self._record(samples) if self.record is None else self._given_record()

    def _given_record(self) -> DynamicsRecorder | Dynamics:
        if isinstance(self.record, str | Path):
            return DynamicsRecorder.load(self.record)
        found: DynamicsRecorder | Dynamics = self.record
        return found

    def _record(self, samples: Samples) -> DynamicsRecorder:
        from proxysample.features.batches import DeviceRows
        from proxysample.samplers.self_recording import record_training

        (seed,) = draw_seeds(self.random_state, 1)
        device = resolve_device(self.device)
        # First, so that labels that cannot serve are told before any long work.
        if samples.tells_labels_early:
            self._encoded(samples)
        trained = self._trainable(samples, device)
        n_classes, codes = self._encoded(samples)
        return record_training(
            trained,
            DeviceRows(codes, device, read_often=True),
            n_classes,
            folds=self.folds,
            held_out=SCORES[self.score_id()].needs == "held-out",
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.training_batch_size,
            seed=seed,
            progress=self.progress,
        )

    def _trainable(self, samples: Samples, device: torch.device) -> Trainable:
        from proxysample.samplers.self_recording import head_on_features, network_on_pixels
        from proxysample.samplers.transfer import is_of_features

        if self.network != "head":
            return network_on_pixels(samples, self.network, device)
        features = self.features
        if features is None:
            features = "pixels" if is_of_features(samples) else DEFAULT_BACKBONE
        return head_on_features(samples, features, device, self.progress)

    def _encoded(self, samples: Samples) -> tuple[int, IntArray]:
        classes, codes = encode_labels(samples.required_labels)
        if len(classes) < 2:
            (label,) = classes.tolist()
            raise InputError(
                f"all labels are {label!r}; a classifier needs two classes or more: use a sampler "
                "without labels, such as 'ae' or 'km-or'"
            )
        return len(classes), codes


def _told(label: Any) -> str:
    return shown(plain_label(label))


def _refuse_other_labels(codes: IntArray, labels: Any) -> None:
    """Refuse a record whose classes are not those of the dataset, however it numbers them."""
    if labels is None:
        return
    _, known = np.unique(labels, return_inverse=True)
    for ours, theirs in ((known, codes), (codes, known)):
        first = np.full(int(ours.max()) + 1, -1)
        # Backwards, so that the first sample of a class is what stays.
        first[ours[::-1]] = np.arange(len(ours))[::-1]
        other = np.flatnonzero(theirs != theirs[first[ours]])
        if len(other):
            sample, before = other[0], first[ours][other[0]]
            raise InputError(
                f"the record is not of this dataset, or not in its order: samples {before} and "
                f"{sample} have labels {_told(labels[before])} and {_told(labels[sample])}, and "
                f"classes {codes[before]} and {codes[sample]} in the record"
            )


class EL2N(DynamicsSampler):
    """Keep samples whose probabilities lie far from their labels early in training (el2n).

    The score is `el2n` of `proxysample.dynamics.scores`, and by default that is its hard end (M.
    Paul, S. Ganguli and G. K. Dziugaite, Deep learning on a data diet, 2021). Attributes are those
    of `DynamicsSampler`.
    """

    id: ClassVar[str] = "el2n"


class GraNd(DynamicsSampler):
    """Keep samples of long gradients, as the last layer has them (grand).

    The score is `grand` of `proxysample.dynamics.scores`, and by default that is its hard end (M.
    Paul, S. Ganguli and G. K. Dziugaite, Deep learning on a data diet, 2021). Attributes are those
    of `DynamicsSampler`.
    """

    id: ClassVar[str] = "grand"


class Forgetting(DynamicsSampler):
    """Keep samples that are forgotten often, or never learned (forgetting).

    The score is `forgetting` of `proxysample.dynamics.scores`, and by default that is its hard end
    (M. Toneva and others, An empirical study of example forgetting, 2019). Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "forgetting"


class AUM(DynamicsSampler):
    """Keep samples of large margins of logits (aum).

    The score is `aum` of `proxysample.dynamics.scores`, and by default that is its easy end (G.
    Pleiss, T. Zhang, E. Elenberg and K. Weinberger, Identifying mislabeled data using the area
    under the margin ranking, 2020). Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "aum"


class ProbabilityAUM(DynamicsSampler):
    """Keep samples of large margins of probabilities (aum-p).

    The score is `aum-p` of `proxysample.dynamics.scores`, and by default that is its easy end (H.
    Zheng, R. Liu, F. Lai and A. Prakash, Coverage-centric coreset selection, 2023). Attributes are
    those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "aum-p"


class Margin(DynamicsSampler):
    """Keep samples whose two likeliest classes are near each other (margin).

    The score is `margin` of `proxysample.dynamics.scores`, and by default that is its hard end (C.
    Coleman and others, Selection via proxy, 2020). Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "margin"


class Entropy(DynamicsSampler):
    """Keep samples of high entropy (entropy).

    The score is `entropy` of `proxysample.dynamics.scores`, and by default that is its hard end (C.
    Coleman and others, Selection via proxy, 2020). Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "entropy"


class LeastConfidence(DynamicsSampler):
    """Keep samples whose likeliest class is unlikely (least-confidence).

    The score is `least-confidence` of `proxysample.dynamics.scores`, and by default that is its
    hard end (C. Coleman and others, Selection via proxy, 2020). Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "least-confidence"


class Confidence(DynamicsSampler):
    """Keep samples whose labels were likely on average (confidence).

    The score is `confidence` of `proxysample.dynamics.scores`, and by default that is its easy end
    (S. Swayamdipta and others, Dataset cartography, 2020). Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "confidence"


class Variability(DynamicsSampler):
    """Keep samples whose labels' probabilities varied (variability).

    The score is `variability` of `proxysample.dynamics.scores`, and by default that is its hard end
    (S. Swayamdipta and others, Dataset cartography, 2020). Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "variability"


class DynUnc(DynamicsSampler):
    """Keep samples whose labels' probabilities varied within windows of epochs (dyn-unc).

    The score is `dyn-unc` of `proxysample.dynamics.scores`, and by default that is its hard end (M.
    He, S. Yang, T. Huang and B. Zhao, Large-scale dataset pruning with dynamic uncertainty, 2024).
    Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "dyn-unc"


class TDDS(DynamicsSampler):
    """Keep samples whose probabilities moved unevenly (tdds).

    The score is `tdds` of `proxysample.dynamics.scores`, and by default that is its hard end (X.
    Zhang, J. Du, Y. Li, W. Xie and J. Zhou, Spanning training progress, 2024). Attributes are those
    of `DynamicsSampler`.
    """

    id: ClassVar[str] = "tdds"


class DUAL(DynamicsSampler):
    """Draw samples that were uncertain and difficult early, easier ones where few are kept (dual).

    The score is `dual` of `proxysample.dynamics.scores`, and ``keep=None`` is `BetaDraw` with the
    sampler's seed, as its authors have it (Y. Cho, B. Shin, C. Kang and C. Yun, Lightweight dataset
    pruning without full training, 2025): each ratio has an order of its own. ``keep="top"`` keeps
    the hard end, and kept sets nest. Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "dual"

    def _default_keep(self) -> Keep:
        return BetaDraw(seed=self._seed_of_rule())

    def _probability(self) -> FloatArray:
        # Of the epochs that the score is of.
        epochs = dual_epochs(self._dynamics, dict(self.options or {}).get("epochs"))
        return np.asarray(self._dynamics.require("p_true")[:epochs].mean(axis=0), np.float64)


class CoverageCentric(DynamicsSampler):
    """Keep samples of all degrees of difficulty, but for the hardest (ccs).

    The score is `aum-p` of `proxysample.dynamics.scores`, and ``keep=None`` is `CCS` with the
    sampler's seed and ``beta=0.3``: the hardest 30 % are cut, so at most 70 % can be kept; to keep
    more, or to cut as the authors tuned it (H. Zheng, R. Liu, F. Lai and A. Prakash,
    Coverage-centric coreset selection, 2023), pass ``keep=CCS(beta=...)``. Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "ccs"
    score: ClassVar[str] = "aum-p"

    def _default_keep(self) -> Keep:
        return CCS(seed=self._seed_of_rule())


class CSL(DynamicsSampler):
    """Keep samples of small losses over the training (csl).

    The score is `csl` of `proxysample.dynamics.scores`, and by default that is its easy end (D.
    Ravikumar and others, 2025). Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "csl"


class LearningSpeed(DynamicsSampler):
    """Keep samples that were right in many epochs (learning-speed).

    The score is `learning-speed` of `proxysample.dynamics.scores`, and by default that is its easy
    end (S. Swayamdipta and others, Dataset cartography, 2020). Attributes are those of
    `DynamicsSampler`.
    """

    id: ClassVar[str] = "learning-speed"


class FirstLearned(DynamicsSampler):
    """Keep samples that were right early (first-learned).

    The score is `first-learned` of `proxysample.dynamics.scores`, and by default that is its easy
    end (M. Toneva and others, An empirical study of example forgetting, 2019). Attributes are those
    of `DynamicsSampler`.
    """

    id: ClassVar[str] = "first-learned"


class CLD(DynamicsSampler):
    """Keep samples whose losses move with those of held-out samples of their class (cld).

    The score is `cld` of `proxysample.dynamics.scores`, and by default that is its easy end (M.
    Nagaraj and others, 2025). Attributes are those of `DynamicsSampler`.
    """

    id: ClassVar[str] = "cld"
