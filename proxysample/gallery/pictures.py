"""Samples as pictures: what an image of any type looks like, and as PNG in the text of a page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
