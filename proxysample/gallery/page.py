"""The page to look through a ranking: one file, or a folder where thumbnails are many."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.data.classes import Classes, read_classes
from proxysample.data.keys import Keys, keys_of
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.files import check_output, replace_file, replace_folder
from proxysample.gallery.lookalikes import (
    DUPLICATE_SHARE,
    LookAlikes,
    features_at_hand,
    of_features,
    of_pixels,
)
from proxysample.gallery.pictures import COLUMNS, PER_SHEET, Sheet, Sprites
from proxysample.gallery.stops import Stops, find_stops
from proxysample.isolation import isolated
from proxysample.outputs import check_empty
from proxysample.ranking import Ranking
from proxysample.rendering import render_template
from proxysample.selection import Cut
from proxysample.wording import visible

if TYPE_CHECKING:
    from proxysample.report import Report

MOST_IN_FILE = 10_000
"""Samples that a page in one file shows; beyond, it would take browsers seconds to open."""
MOST_IN_FOLDER = 200_000

SHEETS = "thumbnails"
PIXELATED = 48
"""Thumbnails smaller than this many pixels a side are shown in blocks, larger ones smoothed."""


def is_folder(path: str | Path) -> bool:
    """Tell whether a page goes into a folder: its name has no suffix, or one is there."""
    return not Path(path).suffix or Path(path).is_dir()


def check_page(path: str | Path, n_samples: int | None = None) -> None:
    """Check, before any scoring, that a page can be written, and holds so many samples.

    Raises
    ------
    InputError
        If the name is neither one in ``.html`` nor of a new or empty folder, or there are too
        many samples.

    Examples
    --------
    >>> check_page("page.html", 50_000)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a page in one file shows 10,000 samples at most, and there are
    50,000; name a folder, such as page
    """
    if is_folder(path):
        check_empty(path)
    else:
        check_output(path, ".html", "a report is saved")
    if n_samples is None:
        return
    if not is_folder(path) and n_samples > MOST_IN_FILE:
        raise InputError(
            f"a page in one file shows {MOST_IN_FILE:,} samples at most, and there are "
            f"{n_samples:,}; name a folder, such as {Path(path).with_suffix('')}"
        )
    if n_samples > MOST_IN_FOLDER:
        raise InputError(
            f"a page in a folder shows {MOST_IN_FOLDER:,} samples at most, and there are "
            f"{n_samples:,}; make it of a part of them"
        )


@dataclass(frozen=True, eq=False)
class Gallery:
    """What a page is made of.

    Attributes
    ----------
    ranking : Ranking
    samples : Samples
        The ranked dataset.
    cut : Cut
        The kept set that was asked for.
    features : object, optional
        What the sampler compared samples by; taken for neighbours where it needs no more work.
    """

    ranking: Ranking
    samples: Samples
    cut: Cut
    features: Any = None

    @isolated()
    def save(
        self,
        path: str | Path,
        report: Report,
        *,
        ratios: Iterable[float] = (),
        features: Any = None,
    ) -> None:
        """Write the page with what a report tells; see `proxysample.report.Report.save`."""
        check_page(path, len(self.samples))
        stops = find_stops(self.ranking, self.cut, ratios)
        # Thumbnails that are looked at together lie together.
        sprites = Sprites(self.samples, stops.orders[0])
        if not is_folder(path):
            rules = [
                _rule(sheet, f"data:{MIME[sheet.suffix]};base64,{_base64(sheet.content)}")
                for sheet in sprites.sheets()
            ]
            text = self._text(report, stops, sprites, features, rules, "data:")
            with replace_file(path) as stream:
                stream.write(text.encode())
            return
        with replace_folder(path) as folder:
            (folder / SHEETS).mkdir()
            rules = []
            for sheet in sprites.sheets():
                name = f"{SHEETS}/{sheet.number:04}.{sheet.suffix}"
                (folder / name).write_bytes(sheet.content)
                rules.append(_rule(sheet, name))
            # Read from a disk, files are of no site: some browsers want them named so.
            text = self._text(report, stops, sprites, features, rules, "data: 'self' file:")
            (folder / PAGE).write_text(text, "utf-8")

    def _text(
        self,
        report: Report,
        stops: Stops,
        sprites: Sprites,
        features: Any,
        rules: list[str],
        pictures: str,
    ) -> str:
        from markupsafe import Markup

        alike = self._look_alikes(sprites, features)
        style = Markup(render_template("gallery.css.j2"))
        sheets, script = Markup("\n".join(rules)), Markup(_script())
        return render_template(
            "gallery.html.j2",
            title=f"What {visible(self.ranking.name)} keeps of {len(self.ranking):,} samples",
            asked=report.title,
            report=report,
            policy=_policy([style, sheets], script, pictures),
            style=style,
            sheets=sheets,
            script=script,
            pixelated=sprites.side < PIXELATED,
            alike_words="" if alike is None else _words_of(alike),
            data=Markup(_as_script_data(self._data(stops, sprites, alike))),
        )

    def _look_alikes(self, sprites: Sprites, features: Any) -> LookAlikes | None:
        whole = self.ranking.whole_indices
        if features is None:
            features = features_at_hand(self.features, self.samples)
        if features is not None:
            return of_features(self.samples, features, whole)
        return (
            of_pixels(sprites.pixels, whole[sprites.places[whole] >= 0]) if sprites.side else None
        )

    def _data(self, stops: Stops, sprites: Sprites, alike: LookAlikes | None) -> dict[str, Any]:
        classes = self.ranking.classes or read_classes(self.samples)
        scores = self.ranking.scores
        return {
            "n": len(self.ranking),
            "orders": [_packed(order, "<i4") for order in stops.orders],
            "stops": [
                {"words": one.words, "ratio": one.ratio, "kept": one.n_kept, "order": one.order}
                for one in stops.stops
            ],
            "start": stops.start,
            "whyFew": _why_few(stops),
            # What is skipped has no score, and is nowhere in the orders.
            "scores": _packed(np.where(np.isnan(scores), 0, scores), "<f8"),
            **_classes_data(classes),
            **_files_data(keys_of(self.samples.dataset)),
            "sprites": _sprites_data(sprites) if sprites.side else None,
            "alike": None if alike is None or not alike.indices.size else _alike_data(alike),
        }


PAGE = "index.html"
MIME = {"png": "image/png", "jpg": "image/jpeg"}


def _rule(sheet: Sheet, address: str) -> str:
    return f'.s{sheet.number}{{background-image:url("{address}")}}'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _script() -> str:
    """Read the page's script as it is: a template would read its braces."""
    file = resources.files("proxysample") / "templates" / "gallery.js"
    return file.read_text("utf-8").strip()


def _policy(styles: list[str], script: str, pictures: str) -> str:
    """Let in what the page has, by digests, and its pictures; nothing goes out."""

    def digest(text: str) -> str:
        return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"

    return (
        f"default-src 'none'; img-src {pictures}; style-src {' '.join(map(digest, styles))}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )


def _as_script_data(data: dict[str, Any]) -> str:
    """Write JSON that ends no script and starts no comment or tag, whatever its texts are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(values: npt.NDArray[Any], dtype: str) -> str:
    return _base64(np.ascontiguousarray(values, dtype=dtype).tobytes())


def _why_few(stops: Stops) -> str:
    if not stops.why_few:
        return ""
    given = ", ".join(stop.words for stop in stops.stops)
    return f"Only what was given is offered ({given}): {stops.why_few}."


def _classes_data(classes: Classes | None) -> dict[str, Any]:
    if classes is None:
        return {"classes": None}
    return {
        "classes": [visible(name) for name in classes.names],
        "codes": _packed(classes.codes, "<i4"),
    }


def _files_data(keys: Keys | None) -> dict[str, Any]:
    if keys is None:
        return {"files": None}
    shared = os.path.commonprefix(keys.values)  # noqa: RUF071  # cut at a slash below
    shared = shared[: shared.rfind("/") + 1]
    return {
        "files": [visible(value[len(shared) :]) for value in keys.values],
        "filesIn": visible(shared),
        "fileKind": keys.kind,
    }


def _sprites_data(sprites: Sprites) -> dict[str, Any]:
    return {
        "side": sprites.side,
        "columns": COLUMNS,
        "perSheet": PER_SHEET,
        "places": _packed(sprites.places, "<i4"),
        "shapes": _packed(sprites.shapes, "u1"),
    }


def _alike_data(alike: LookAlikes) -> dict[str, Any]:
    return {
        "count": alike.indices.shape[1],
        "indices": _packed(alike.indices, "<i4"),
        "likeness": _packed(alike.likeness, "<f4"),
        "duplicates": _packed(alike.is_duplicate, "u1"),
        "unit": alike.unit,
    }


def _words_of(alike: LookAlikes) -> str:
    count = alike.indices.shape[1]
    return (
        f"Compared by {alike.told}; the {count} nearest of each are known. A near duplicate is "
        f"nearer than {DUPLICATE_SHARE:g} times the median distance to the nearest neighbour."
    )
