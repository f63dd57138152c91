"""Reports: what a sampler kept, what it dropped, and what that cost."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from proxysample.data.classes import Classes, read_classes
from proxysample.data.keys import keys_of
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.files import check_output, replace_file
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import cleaned
from proxysample.ranking import Ranking
from proxysample.rendering import render_template
from proxysample.selection import Cut, SelectionRules, as_mask

N_BINS = 40
N_EXAMPLES = 24


@dataclass(frozen=True)
class ClassCount:
    """How many samples of a class there are, and how many are kept."""

    name: str
    n_samples: int
    n_kept: int


@dataclass(frozen=True)
class Example:
    """An image to look at.

    Attributes
    ----------
    index : int
        Of the sample in the dataset.
    image : ndarray of shape (h, w) or (h, w, c)
    name : str
        Its class; empty where there are no labels.
    file : str
        Where the dataset read it, or its key; empty where it does not tell
        (`proxysample.data.keys.keys_of`).
    """

    index: int
    image: npt.NDArray[Any]
    name: str
    file: str

    @property
    def caption(self) -> str:
        """Index and class."""
        return f"{self.index}: {self.name}" if self.name else f"{self.index}"

    @property
    def picture(self) -> str:
        """The image as the address of a PNG that holds it."""
        return f"data:image/png;base64,{base64.b64encode(_png(self.image)).decode()}"


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
    examples : dict of list of Example
        Under ``"kept first"``, ``"kept last"``, ``"dropped first"`` and ``"dropped last"``; empty
        where samples are no images.
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
    examples: dict[str, list[Example]]
    cut: Cut | None = None

    @property
    def title(self) -> str:
        """One line that says what was done."""
        n_samples, n_kept = len(self.ranking.whole_indices), len(self.indices)
        n_skipped = len(self.ranking) - n_samples
        name = self.ranking.provenance.get("sampler", "the ranking")
        return (
            f"{name} keeps {n_kept:,} of {n_samples:,} samples (r={self.r:g}), "
            f"drops {n_samples - n_kept:,}"
            + (f"; {n_skipped:,} more cannot be read and are skipped" if n_skipped else "")
        )

    @property
    def info(self) -> dict[str, str]:
        """What a reader has to know of how the scores came about."""
        provenance = self.ranking.provenance
        info = {
            "keeps": f"{self.ranking.rule} samples, {self._shares}",
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
        return info

    @property
    def _shares(self) -> str:
        balance = None if self.cut is None else self.cut.balance
        if balance is None:
            shares = "class shares kept" if self.ranking.codes is not None else "overall"
        elif isinstance(balance, str):
            shares = BALANCE_IN_WORDS[balance]
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

    def save(self, path: str | Path) -> None:
        """Write the report as one HTML page that needs no other file.

        Parameters
        ----------
        path : str or Path
            Ends in ``.html``.

        Raises
        ------
        InputError
            If the path ends otherwise, or its folder is missing or cannot be written to.
        """
        check_output(path, ".html", "a report is saved")
        with replace_file(path) as stream:
            stream.write(self._page().encode())

    def _page(self) -> str:
        return render_template(
            "report.html.j2",
            title=self.title,
            report=self,
            histogram=_histogram(self),
            sheets=self.examples,
        )

    def _repr_html_(self) -> str:
        return render_template("report_fragment.html.j2", report=self, histogram=_histogram(self))


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
    **rules: Unpack[SelectionRules],
) -> Report:
    """Gather what a ranking keeps of a dataset at one ratio.

    Parameters
    ----------
    ranking : Ranking
        Of this dataset.
    samples : Samples
        The dataset; a few images of it are read.
    r, n, **rules : object
        See `Ranking.select`.

    Raises
    ------
    InputError
        If `r`, `n` or a rule cannot be used.
    """
    cut = Cut(r=r, n=n, **rules)
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
        examples=_find_examples(ranking, samples, is_kept, classes),
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
        ClassCount(name, int(n_kept + n_dropped), int(n_kept))
        for name, n_kept, n_dropped in zip(classes.names, kept, dropped, strict=True)
        if n_kept + n_dropped
    ]


def _find_examples(
    ranking: Ranking,
    samples: Samples,
    is_kept: npt.NDArray[np.bool_],
    classes: Classes | None,
) -> dict[str, list[Example]]:
    order = ranking.order_of_rule(int(is_kept.sum()))
    kept, dropped = order[is_kept[order]], order[~is_kept[order]]
    chosen = {
        "kept first": kept[:N_EXAMPLES],
        "kept last": kept[-N_EXAMPLES:],
        "dropped first": dropped[:N_EXAMPLES],
        "dropped last": dropped[-N_EXAMPLES:],
    }
    examples = {
        name: _read_examples(samples, rows, classes) for name, rows in chosen.items() if len(rows)
    }
    return {
        name: found
        for name, found in examples.items()
        if found and all(example.image.ndim >= 2 for example in found)
    }


def _read_examples(samples: Samples, rows: IntArray, classes: Classes | None) -> list[Example]:
    keys = keys_of(samples.dataset)
    found = []
    for row in rows.tolist():
        try:
            (image,) = samples.rows(np.array([row]))
        except InputError:
            # A sampler that reads no image may keep one that nobody can read.
            continue
        name = "" if classes is None else classes.names[classes.codes[row]]
        file = "" if keys is None else keys.values[row]
        found.append(Example(index=row, image=image, name=name, file=file))
    return found


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


def _png(image: npt.NDArray[Any]) -> bytes:
    from PIL import Image

    pixels = image
    if pixels.dtype != np.uint8:
        # Floats may have been normalised: show them over their own range.
        low, high = float(pixels.min()), float(pixels.max())
        pixels = (255 * (pixels - low) / ((high - low) or 1)).round().astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        pixels = pixels[..., 0]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
