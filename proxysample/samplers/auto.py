"""The sampler that takes what comparisons on real data support, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, Unpack

from proxysample.data.classes import read_classes
from proxysample.data.fields import FieldArguments
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.features.sources import check_features
from proxysample.keeping import FloatArray, IntArray
from proxysample.registry import create_sampler
from proxysample.sampler import Reads, Sampler, clone_keeping, plain_parameters
from proxysample.samplers.random import RandomState


@dataclass(frozen=True)
class Finding:
    """What a comparison has shown to be worth taking.

    Attributes
    ----------
    sampler : str
        Its id.
    sees : {"features", "record", "labels"}
        What has to be there for it: features or a record that were given, or labels alone.
    why : str
        What was shown, in words, with the figures and where they stand.
    parameters : mapping
        Those that were compared, where not the defaults.
    """

    sampler: str
    sees: Literal["features", "record", "labels"]
    why: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


FINDINGS: tuple[Finding, ...] = (
    Finding(
        "herding",
        "features",
        "to a linear head on CIFAR-100's features it is worth more than a class-random part at "
        "every r: +6.9, +5.6, +3.1 and +0.9 points at 0.05, 0.1, 0.25 and 0.5, and to a network "
        "from scratch +4.4, +3.5 and +2.7 points at the last three (docs/which-sampler.md)",
        {"metric": "cosine", "cut": 0.3},
    ),
    Finding(
        "ccs",
        "record",
        "to a network from scratch on 20 classes of CIFAR-100 it is worth more than a class-random "
        "part: +2.5, +2.7 and +2.5 points at 0.1, 0.25 and 0.5 (docs/which-sampler.md)",
        {"per_class": True},
    ),
)
"""Best first. Only what docs/which-sampler.md shows on real data, with intervals, goes in here."""

NOTHING_WITHOUT_CLASSES = (
    "no sampler is shown to be better than a random part where no classes are seen "
    "(docs/which-sampler.md)"
)
NOTHING_SHOWN = (
    "no sampler is shown to be better than a random part where neither features nor the record of "
    "a training are given (docs/which-sampler.md)"
)


class Automatic(Sampler):
    """Keep by the sampler that comparisons support for the data at hand (auto).

    Where none is shown to be better, that is a random part of each class, or of all samples where
    there are no classes. `compare` tells which sampler pays on your own data.

    Parameters
    ----------
    features : str, ndarray, nn.Module, callable or object with ``transform``, optional
        Passed on to a sampler that compares features; see `KMeansOutlierRemoval`.
    record : str, Path, DynamicsRecorder or Dynamics, optional
        Of a training on all of the samples, passed on to a sampler that goes by it; see `AUM`.
    random_state : int, Generator or None
        Seed, where the sampler draws.

    Attributes
    ----------
    chosen_ : Sampler
        What was taken, set by `fit`; the ranking's details say why.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample import create_sampler
    >>> sampler = create_sampler("auto", random_state=0)
    >>> kept = sampler.select(np.zeros((8, 4)), r=0.5, y=[0, 0, 0, 0, 1, 1, 1, 1])
    >>> kept.tolist(), sampler.chosen_.id
    ([2, 3, 6, 7], 'cc-rs')
    """

    id: ClassVar[str] = "auto"
    reads: ClassVar[Reads] = "labels"
    per_class = None

    def __init__(
        self, *, features: Any = None, record: Any = None, random_state: RandomState = None
    ) -> None:
        self.features = features
        self.record = record
        self.random_state = random_state

    def __sklearn_clone__(self) -> Self:
        return clone_keeping(self, "features", "record")

    def named_by(self) -> dict[str, Any]:
        """Give the parameters, with what is recorded in place of a file's name."""
        named = super().named_by()
        if self.record is None:
            del named["record"]
        else:
            named["record"] = create_sampler("ccs", record=self.record).named_by()["record"]
        return named

    def _check_parameters(self) -> None:
        if self.features is not None:
            check_features(self.features, None)
        if self.record is not None:
            create_sampler("ccs", record=self.record).check_parameters()

    def fit(self, dataset: Any, y: Any = None, **fields: Unpack[FieldArguments]) -> Self:
        """Choose, and score by what was chosen; see `Sampler.fit`."""
        self.check_parameters()
        samples = self._read(dataset, y, **fields)
        has_classes = read_classes(samples) is not None and samples.has_classes
        # What was given goes by classes, which may be in the items alone.
        has_given = self.features is not None or self.record is not None
        if not has_classes and has_given and not samples.tells_labels_without_items:
            with suppress(InputError):
                y, has_classes = samples.required_labels, True
                fields.pop("label", None)
        if not has_classes:
            samples.tell_unsure_labels(items=has_given)
        chosen, why = self._choose(has_classes)
        ranking = chosen.fit(dataset, y, **fields).ranking_
        details = {**ranking.provenance.get("details", {}), "chosen": f"{chosen.id}: {why}"}
        told = {"sampler": self.id, "parameters": plain_parameters(self), "details": details}
        self.chosen_ = chosen
        self.ranking_ = replace(ranking, provenance={**ranking.provenance, **told})
        self.scores_ = self.ranking_.scores
        self.n_samples_ = len(self.ranking_)
        return self

    def _choose(self, has_classes: bool) -> tuple[Sampler, str]:
        """Take the first finding that fits; a random part where there is none."""
        found = next(
            (
                one
                for one in FINDINGS
                if has_classes and (one.sees == "labels" or getattr(self, one.sees) is not None)
            ),
            None,
        )
        name = ("cc-rs" if has_classes else "rs") if found is None else found.sampler
        parameters = {} if found is None else dict(found.parameters)
        sampler = create_sampler(name, **parameters)
        own = {
            "features": self.features,
            "record": self.record,
            "random_state": self.random_state,
        }
        names = sampler.get_params(deep=False).keys() - parameters.keys()
        sampler.set_params(**{one: own[one] for one in own.keys() & names if own[one] is not None})
        if found is not None:
            return sampler, found.why
        return sampler, NOTHING_SHOWN if has_classes else NOTHING_WITHOUT_CLASSES

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        return self._choose(codes is not None)[0].fit(samples).scores_
