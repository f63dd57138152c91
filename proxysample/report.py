"""Reports: what a sampler kept, what it dropped, and what that cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from proxysample.data.classes import Classes, read_classes
from proxysample.data.keys import keys_of
from proxysample.data.reading import Samples
from proxysample.gallery.page import Gallery
from proxysample.gallery.sheets import N_EXAMPLES, Example, read_examples
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import cleaned
from proxysample.ranking import Ranking
from proxysample.rendering import render_template
from proxysample.selection import Cut, SelectionRules, as_mask
from proxysample.shares import ClassWeights
from proxysample.wording import visible

N_BINS = 40


@dataclass(frozen=True)
class ClassCount:
    """How many samples of a class there are, and how many are kept."""

    name: str
    n_samples: int
    n_kept: int


@dataclass(frozen=True)
class Report:
    """What a ranking keeps of a dataset at one ratio.

    Attributes
    ----------
    ranking : Ranking
    r : float
        Fraction asked for, or kept where a number was.
    indices : ndarray of shape (n_kept,), int64
    classes : list of ClassCount
        By class in sorted order; empty where there are no labels.
    bin_edges : ndarray of shape (n_bins + 1,), float64
        Of the scores' histogram.
    kept_histogram, dropped_histogram : ndarray of shape (n_bins,), int64
    gallery : Gallery
        All samples with their pictures, for the page; read when it is saved.
    cut : Cut, optional
        What was asked for.

    Examples
    --------
    >>> from proxysample import CCOutlierRemoval, load_dataset
    >>> report = CCOutlierRemoval().report(load_dataset("digits").train, r=0.25)
    >>> print(str(report).splitlines()[0])
    cc-or keeps 359 of 1,437 samples (r=0.25), drops 1,078
    """

    ranking: Ranking
    r: float
    indices: IntArray
    classes: list[ClassCount]
    bin_edges: FloatArray
    kept_histogram: IntArray
    dropped_histogram: IntArray
    gallery: Gallery
    cut: Cut | None = None

    def __repr__(self) -> str:
        return f"Report({self.title})"

    @cached_property
    def examples(self) -> dict[str, list[Example]]:
        """A few images under "kept first", "kept last", "dropped first" and "dropped last".

        Read when they are asked for; empty where samples are no images.
        """
        is_kept = np.zeros(len(self.ranking), dtype=bool)
        is_kept[self.indices] = True
        return _find_examples(self.ranking, self.gallery.samples, is_kept)

    @property
    def title(self) -> str:
        """One line that says what was done."""
        n_samples, n_kept = len(self.ranking.whole_indices), len(self.indices)
        n_skipped = len(self.ranking) - n_samples
        return (
            f"{visible(self.ranking.name)} keeps {n_kept:,} of {n_samples:,} samples "
            f"(r={self.r:g}), drops {n_samples - n_kept:,}"
            + (f"; {n_skipped:,} more cannot be read and are skipped" if n_skipped else "")
        )

    @property
    def info(self) -> dict[str, str]:
        """What a reader has to know of how the scores came about."""
        provenance = self.ranking.provenance
        info = {
            "keeps": f"{self.ranking.rule} samples, {self._shares}",
            **({} if self.ranking.nested else {"sets": NOT_NESTED}),
            "rounding": self._rounding,
        }
        if "parameters" in provenance:
            info["parameters"] = ", ".join(
                f"{name}={value!r}" for name, value in provenance["parameters"].items()
            )
        info |= provenance.get("details", {})
        if "seconds" in provenance:
            info["cost"] = f"{provenance['seconds']:.2f} s, once for every ratio"
        if "versions" in provenance:
            info["versions"] = ", ".join(f"{k} {v}" for k, v in provenance["versions"].items())
        return {visible(name): visible(words) for name, words in info.items()}

    @property
    def _shares(self) -> str:
        balance = None if self.cut is None else self.cut.balance
        if balance is None:
            shares = "class shares kept" if self.ranking.codes is not None else "overall"
        elif isinstance(balance, str):
            shares = BALANCE_IN_WORDS[balance]
        elif isinstance(balance, ClassWeights):
            shares = f"classes by weights: {balance}"
        else:
            shares = "counts by class given"
        certain = [] if self.cut is None else _certain_in_words(self.cut, len(self.ranking))
        return ", ".join([shares, *certain])

    @property
    def _rounding(self) -> str:
        if self.cut is not None and self.cut.r is None:
            return "none, a number was given"
        if self.ranking.rounding == "exact":
            return "round(r * n) in all"
        return "int(n * r), as the paper's code"

    def __str__(self) -> str:
        told = (f"  {name}: {fact}" for name, fact in self.info.items())
        lines = [cleaned(self.title), *map(cleaned, told)]
        if self.classes:
            lines += ["", *self._class_lines()]
        return "\n".join([*lines, "", *self._histogram_lines()])

    def _class_lines(self) -> list[str]:
        names = [cleaned(count.name) for count in self.classes]
        width = max(len("class"), *map(len, names))
        header = f"{'class':{width}}  {'kept':>8} {'of':>8}  share"
        return [header] + [
            f"{name:{width}}  {count.n_kept:8,} {count.n_samples:8,}  "
            f"{count.n_kept / count.n_samples:5.1%}"
            for name, count in zip(names, self.classes, strict=True)
        ]

    def _histogram_lines(self, width: int = 40) -> list[str]:
        highest = max(1, int((self.kept_histogram + self.dropped_histogram).max()))
        lines = ["score     kept #, dropped ."]
        for edge, kept, dropped in zip(
            self.bin_edges[:-1], self.kept_histogram, self.dropped_histogram, strict=True
        ):
            n_kept = round(width * int(kept) / highest)
            n_all = round(width * int(kept + dropped) / highest)
            lines.append(f"{edge:9.4g} {'#' * n_kept}{'.' * (n_all - n_kept)}")
        return lines

    def save(self, path: str | Path, *, ratios: Iterable[float] = (), features: Any = None) -> None:
        """Write the report as a page to look through: a slider over r moves images.

        All samples are read once for their thumbnails. Nothing on the page is fetched from
        elsewhere.

        Parameters
        ----------
        path : str or Path
            Ends in ``.html`` for one file that needs no other, of up to
            `proxysample.gallery.page.MOST_IN_FILE` samples; or a folder, new or empty, for a page
            ``index.html`` that loads thumbnails when they are shown.
        ratios : iterable of float
            More ratios to offer. It matters where sets do not nest (`Ranking.nested`): the page
            then offers those that are given, and says so.
        features : object, optional
            What samples are compared by, for nearest neighbours and near duplicates; see
            `proxysample.features.sources.feature_rows`. By default the sampler's features where
            they are an array or kept on disk, vectors where the samples are that, and else the
            pixels of the thumbnails.

        Raises
        ------
        InputError
            If the path is something else or cannot be written to, there are too many samples for
            it, or `ratios` or `features` cannot be used.
        """
        self.gallery.save(path, self, ratios=ratios, features=features)

    def _repr_html_(self) -> str:
        return render_template("report_fragment.html.j2", report=self, histogram=_histogram(self))


NOT_NESTED = "another order for each size: a smaller set is no part of a larger one"

BALANCE_IN_WORDS = {
    "none": "overall",
    "proportional": "class shares kept",
    "equal": "as many of each class",
}


def _certain_in_words(cut: Cut, n_samples: int) -> list[str]:
    n_in = int(as_mask(cut.must_keep, n_samples, "must_keep").sum())
    n_out = int(as_mask(cut.exclude, n_samples, "exclude").sum())
    words = {
        f"at least {cut.min_per_class:,} of each class": cut.min_per_class,
        f"{n_in:,} whatever their scores": n_in,
        f"{n_out:,} excluded": n_out,
    }
    return [text for text, count in words.items() if count]


@isolated()
def build_report(
    ranking: Ranking,
    samples: Samples,
    r: float | None = None,
    *,
    n: int | None = None,
    features: Any = None,
    **rules: Unpack[SelectionRules],
) -> Report:
    """Gather what a ranking keeps of a dataset at one ratio.

    Parameters
    ----------
    ranking : Ranking
        Of this dataset.
    samples : Samples
        The dataset; images are read when they are asked for.
    r, n, **rules : object
        See `Ranking.select`.
    features : object, optional
        What the sampler compared samples by; see `Report.save`.

    Raises
    ------
    InputError
        If `r`, `n` or a rule cannot be used.
    """
    cut = Cut.of(r, n, rules)
    indices = ranking.select(r, n=n, **rules)
    is_kept = np.zeros(len(ranking), dtype=bool)
    is_kept[indices] = True
    is_dropped = ~is_kept
    if ranking.skipped is not None:
        is_dropped[ranking.skipped] = False
    edges = np.histogram_bin_edges(ranking.scores[ranking.whole_indices], N_BINS)
    classes = read_classes(samples)
    return Report(
        ranking=ranking,
        r=len(indices) / len(ranking) if r is None else r,
        indices=indices,
        classes=_count_classes(classes, is_kept, is_dropped),
        bin_edges=edges,
        kept_histogram=np.histogram(ranking.scores[is_kept], edges)[0],
        dropped_histogram=np.histogram(ranking.scores[is_dropped], edges)[0],
        gallery=Gallery(ranking, samples, cut, features),
        cut=cut,
    )


def _count_classes(
    classes: Classes | None,
    is_kept: npt.NDArray[np.bool_],
    is_dropped: npt.NDArray[np.bool_],
) -> list[ClassCount]:
    if classes is None:
        return []
    kept, dropped = (
        np.bincount(classes.codes[chosen], minlength=len(classes.names))
        for chosen in (is_kept, is_dropped)
    )
    return [
        ClassCount(visible(name), int(n_kept + n_dropped), int(n_kept))
        for name, n_kept, n_dropped in zip(classes.names, kept, dropped, strict=True)
        if n_kept + n_dropped
    ]


def _find_examples(
    ranking: Ranking,
    samples: Samples,
    is_kept: npt.NDArray[np.bool_],
) -> dict[str, list[Example]]:
    classes, keys = read_classes(samples), keys_of(samples.dataset)
    order = ranking.order_of_rule(int(is_kept.sum()))
    kept, dropped = order[is_kept[order]], order[~is_kept[order]]
    chosen = {
        "kept first": kept[:N_EXAMPLES],
        "kept last": kept[-N_EXAMPLES:],
        "dropped first": dropped[:N_EXAMPLES],
        "dropped last": dropped[-N_EXAMPLES:],
    }
    examples = {
        name: read_examples(samples, rows, classes, keys)
        for name, rows in chosen.items()
        if len(rows)
    }
    return {
        name: found
        for name, found in examples.items()
        if found and all(example.image.ndim >= 2 for example in found)
    }


@dataclass(frozen=True)
class _Bar:
    """One bar of the histogram, in the units of its drawing."""

    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class _Histogram:
    width: int
    height: int
    bars: list[_Bar]
    low: str
    high: str


def _histogram(report: Report, width: int = 720, height: int = 200) -> _Histogram:
    kept, dropped = report.kept_histogram, report.dropped_histogram
    highest = max(1, int((kept + dropped).max()))
    step = width / len(kept)
    bars = []
    for place, (n_kept, n_dropped) in enumerate(zip(kept, dropped, strict=True)):
        kept_height = height * int(n_kept) / highest
        dropped_height = height * int(n_dropped) / highest
        for kind, top, tall in (
            ("kept", height - kept_height, kept_height),
            ("dropped", height - kept_height - dropped_height, dropped_height),
        ):
            numbers = (place * step, top, step - 1, tall)
            bars.append(_Bar(kind, *(f"{number:.1f}" for number in numbers)))
    low, high = report.bin_edges[0], report.bin_edges[-1]
    return _Histogram(width, height, bars, f"{low:.4g}", f"{high:.4g}")
