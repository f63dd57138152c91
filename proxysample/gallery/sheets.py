"""Contact sheets: a few pictures of what a ranking keeps and drops, of one or of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from proxysample.checks import MAPPING, POSITIVE_INTEGER, instance_of
from proxysample.data.classes import Classes, read_classes
from proxysample.data.fields import FieldArguments, check_fields
from proxysample.data.keys import Keys, keys_of
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.gallery.pictures import png_address, thumbnail
from proxysample.isolation import isolated
from proxysample.keeping import IntArray
from proxysample.ranking import Ranking
from proxysample.rendering import render_template
from proxysample.selection import Cut
from proxysample.wording import visible

N_EXAMPLES = 24
OF_RANKINGS = instance_of(Ranking)


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
        return f"{self.index}: {visible(self.name)}" if self.name else f"{self.index}"

    @property
    def label(self) -> str:
        """What stands beneath it: the class, or the index where there is none."""
        return visible(self.name) or f"{self.index}"

    @property
    def title(self) -> str:
        """What comes up on hovering: the file, where there is one."""
        return f"{self.index}: {visible(self.file)}" if self.file else self.caption

    @property
    def picture(self) -> str:
        """The image, not larger than a thumbnail, as the address of a PNG that holds it."""
        return png_address(thumbnail(self.image))


@isolated()
def read_examples(
    samples: Samples, rows: IntArray, classes: Classes | None, keys: Keys | None
) -> list[Example]:
    """Read some samples of a dataset; one that nobody can read is left out."""
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
class _Sheet:
    """Some pictures under a heading, and of how many samples they are."""

    heading: str
    n_samples: int
    examples: list[Example]


@dataclass(frozen=True)
class _Side:
    name: str
    told: str
    sheets: list[_Sheet]


@isolated()
def side_by_side(
    rankings: Mapping[str, Ranking],
    dataset: Any,
    r: float,
    y: Any = None,
    *,
    n_images: int = N_EXAMPLES,
    **fields: Unpack[FieldArguments],
) -> str:
    """Put contact sheets of what several rankings keep and drop beside one another.

    Parameters
    ----------
    rankings : mapping of str to Ranking
        By the name that each goes by; all of this dataset.
    dataset, y, **fields : object
        See `proxysample.sampler.Sampler.fit`. A few images of it are read.
    r : float
        Fraction to keep, in (0, 1].
    n_images : int
        Pictures in a sheet at most, taken evenly from the first of the order to the last.

    Returns
    -------
    str
        One ``div`` of HTML with its own style and no script, every name escaped; of samples that
        are no images, numbers alone.

    Raises
    ------
    InputError
        If there is no ranking, one is of another size than the dataset, or `r` cannot be used.

    Examples
    --------
    >>> from proxysample import CCOutlierRemoval, RandomSampling
    >>> from proxysample.testing import small_digits
    >>> digits = small_digits(60)
    >>> rankings = {"cc-or": CCOutlierRemoval().rank(digits), "rs": RandomSampling().rank(digits)}
    >>> page = side_by_side(rankings, digits, 0.5, n_images=3)
    >>> page.count("<section"), page.count("<img")
    (2, 18)
    """
    MAPPING.check("rankings", rankings)
    POSITIVE_INTEGER.check("n_images", n_images)
    for one in rankings.values():
        OF_RANKINGS.check("a ranking", one)
    if not rankings:
        raise InputError("no ranking is given to put side by side; give one by its name at least")
    check_fields("side_by_side", fields)
    samples = Samples(dataset, y, **fields)
    for name, ranking in rankings.items():
        if len(ranking) != len(samples):
            raise InputError(
                f"the ranking {name!r} is of {len(ranking):,} samples, and the dataset has "
                f"{len(samples):,}; rank this dataset"
            )
    kept = {name: _is_kept(ranking, r) for name, ranking in rankings.items()}
    n_keeping = np.sum(list(kept.values()), axis=0)
    classes, keys = read_classes(samples), keys_of(samples.dataset)

    def side_of(name: str, ranking: Ranking) -> _Side:
        is_kept = kept[name]
        order = ranking.order_of_rule(int(is_kept.sum()))
        chosen = {"Kept": order[is_kept[order]], "Dropped": order[~is_kept[order]]}
        if len(rankings) > 1:
            chosen["Kept by this one alone"] = order[(is_kept & (n_keeping == 1))[order]]
        sheets = [
            _Sheet(heading, len(rows), _pictures(samples, _evenly(rows, n_images), classes, keys))
            for heading, rows in chosen.items()
        ]
        return _Side(visible(name), _told(ranking, is_kept, n_keeping, len(rankings)), sheets)

    sides = [side_of(name, ranking) for name, ranking in rankings.items()]
    return render_template("sides.html.j2", sides=sides, title=f"Kept and dropped at r={r:g}")


def _is_kept(ranking: Ranking, r: float) -> npt.NDArray[np.bool_]:
    cut = Cut(r=r)
    is_kept = np.zeros(len(ranking), dtype=bool)
    is_kept[ranking.kept_by(cut, ranking.fitted(cut))] = True
    return is_kept


def _told(
    ranking: Ranking,
    is_kept: npt.NDArray[np.bool_],
    n_keeping: npt.NDArray[np.int64],
    n_rankings: int,
) -> str:
    n_kept = int(is_kept.sum())
    told = f"keeps {n_kept:,} of {len(ranking.whole_indices):,}"
    if n_rankings > 1:
        shared = int((is_kept & (n_keeping == n_rankings)).sum())
        told += f"; {shared / n_kept:.0%} of these by all {n_rankings}"
    return told


def _evenly(rows: IntArray, count: int) -> IntArray:
    """Take some rows, the first and the last among them."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _pictures(
    samples: Samples, rows: IntArray, classes: Classes | None, keys: Keys | None
) -> list[Example]:
    found = read_examples(samples, rows, classes, keys)
    return [example for example in found if example.image.ndim >= 2]
