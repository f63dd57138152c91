"""Samples as pictures: what an image of any type looks like, and many of them as sprite sheets."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.keeping import IntArray

if TYPE_CHECKING:
    from PIL.Image import Image


MOST_PIXELS = 64
"""So many a side of a thumbnail at most."""


def as_uint8(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give an image as grey (h, w) or coloured (h, w, 3) bytes.

    Examples
    --------
    >>> as_uint8(np.array([[[0.0], [0.5]]])).tolist()
    [[0, 255]]
    """
    pixels = image
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3):
        pixels = pixels[..., :3] if pixels.shape[2] == 4 else pixels[..., :1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8:
        # Floats may have been normalised: show them over their own range.
        values = pixels.astype(np.float64)
        finite = np.isfinite(values)
        low = float(values[finite].min()) if finite.any() else 0.0
        spread = float(values[finite].max()) - low if finite.any() else 0.0
        scaled = 255 * (np.where(finite, values, low) - low) / (spread or 1)
        return scaled.round().astype(np.uint8)
    return pixels


def thumbnail(image: npt.NDArray[Any], size: int = MOST_PIXELS) -> Image:
    """Give an image with no side longer than a size, in grey or colour; small ones as they are."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(as_uint8(image)))
    longer = max(picture.size)
    if longer <= size:
        return picture
    width, height = (max(1, round(side * size / longer)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def png_address(picture: Image) -> str:
    """Give a picture as an address that holds it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


COLUMNS = 16
PER_SHEET = COLUMNS**2
"""Thumbnails in a sheet."""

LOSSLESS_PIXELS = 16
"""Thumbnails up to so many pixels a side are kept as they are; larger ones as JPEG."""
QUALITY = 85

N_PROBED = 16
SIDE_COMPARED = 8
"""Thumbnails are compared at so many pixels a side."""


@dataclass(frozen=True)
class Sheet:
    """One sprite sheet.

    Attributes
    ----------
    number : int
    suffix : {"png", "jpg"}
    content : bytes
    """

    number: int
    suffix: str
    content: bytes


@dataclass(eq=False)
class Sprites:
    """What is known of the thumbnails; filled while `sheets` is run through.

    Attributes
    ----------
    samples : Samples
    rows : ndarray of int64
        The samples, in the order in which their thumbnails are packed.
    side : int
        Of a thumbnail's place in a sheet, in pixels; 0 where the samples are no images.
    places : ndarray of shape (n_samples,), int32
        Where each sample's thumbnail is; -1 where it has none.
    shapes : ndarray of shape (n_samples, 2), uint8
        Width and height of each thumbnail within its place.
    pixels : ndarray of shape (n_samples, 192), uint8
        Each thumbnail in a few coloured pixels, by which thumbnails are compared.
    """

    samples: Samples
    rows: IntArray
    side: int = 0
    places: npt.NDArray[np.int32] = field(init=False)
    shapes: npt.NDArray[np.uint8] = field(init=False)
    pixels: npt.NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        n_samples = len(self.samples)
        self.side = _side(self.samples, self.rows)
        self.places = np.full(n_samples, -1, dtype=np.int32)
        self.shapes = np.zeros((n_samples, 2), dtype=np.uint8)
        self.pixels = np.zeros((n_samples if self.side else 0, 3 * SIDE_COMPARED**2), np.uint8)

    def sheets(self) -> Iterator[Sheet]:
        """Read the samples once, a sheet of them at a time."""
        for start in range(0, len(self.rows) if self.side else 0, PER_SHEET):
            rows = self.rows[start : start + PER_SHEET].tolist()
            number = start // PER_SHEET
            n_lines = -(-len(rows) // COLUMNS)
            canvas = np.full((n_lines * self.side, COLUMNS * self.side, 3), 128, dtype=np.uint8)
            for place, row in enumerate(rows):
                self._put(canvas, row, start + place)
            yield _encoded(canvas, number, self.side)

    def _put(self, canvas: npt.NDArray[np.uint8], row: int, place: int) -> None:
        image = _read(self.samples, row)
        if image is None:
            return
        picture = thumbnail(image, self.side)
        pixels = as_uint8(np.asarray(picture))
        coloured = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
        height, width = coloured.shape[:2]
        self.places[row] = place
        self.shapes[row] = width, height
        small = picture.convert("RGB").resize((SIDE_COMPARED, SIDE_COMPARED), _box())
        self.pixels[row] = np.asarray(small).ravel()
        line, column = divmod(place % PER_SHEET, COLUMNS)
        top, left = line * self.side, column * self.side
        # What JPEG mixes into the edge of a picture is then the edge itself.
        margins = ((0, self.side - height), (0, self.side - width), (0, 0))
        canvas[top : top + self.side, left : left + self.side] = np.pad(coloured, margins, "edge")


def _box() -> Any:
    from PIL import Image

    return Image.Resampling.BOX


def _read(samples: Samples, row: int) -> npt.NDArray[Any] | None:
    """Read an image; None where nobody can, or it is none."""
    try:
        (image,) = samples.rows(np.array([row]))
    except InputError:
        return None
    return image if image.ndim >= 2 and image.size else None


def _side(samples: Samples, rows: IntArray) -> int:
    """Choose the places' size by a few samples: small images keep theirs."""
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), N_PROBED)).astype(np.int64)
    found = [_read(samples, row) for row in rows[chosen].tolist()]
    longest = max((max(image.shape[:2]) for image in found if image is not None), default=0)
    # Blocks of JPEG have 8 pixels a side, and none shall hold parts of two thumbnails.
    return min(-(-longest // 8) * 8, MOST_PIXELS)


def _encoded(canvas: npt.NDArray[np.uint8], number: int, side: int) -> Sheet:
    from PIL import Image

    is_grey = bool((canvas == canvas[..., :1]).all())
    picture = Image.fromarray(np.ascontiguousarray(canvas[..., 0]) if is_grey else canvas)
    stream = io.BytesIO()
    if side <= LOSSLESS_PIXELS:
        picture.save(stream, "PNG", optimize=True)
        return Sheet(number, "png", stream.getvalue())
    picture.save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return Sheet(number, "jpg", stream.getvalue())
