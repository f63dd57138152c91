"""Images of any mode, depth and size as arrays: one way to read them, for every kind of dataset."""

from __future__ import annotations

import io
import math
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, SampleError
from proxysample.files import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image

Array = npt.NDArray[Any]

# What Pillow and its readers of formats raise on files that are damaged or something else.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)

# No deflated byte stands for more than 1,032, each of eight black or white pixels. A large image
# that claims more than that is refused before memory is taken.
LARGE_PIXELS = 1 << 22
MOST_PIXELS_PER_BYTE = 8 * 1_032


class _PillowsWarnings:
    """Filters of what Pillow warns of, in place while any thread decodes.

    A context of `warnings` for each thread would leave behind the filters of another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._context = warnings.catch_warnings()

    def __enter__(self) -> None:
        from PIL import Image

        with self._lock:
            self._n_inside += 1
            if self._n_inside > 1:
                return
            self._context = warnings.catch_warnings()
            self._context.__enter__()
            # Pillow warns of damaged notes beside the pixels, of which many a photograph has some.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL(\.|$)")
            # Its warning of what may be a bomb is an error here, as larger ones are.
            warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                self._context.__exit__(None, None, None)


_PILLOWS_WARNINGS = _PillowsWarnings()

# Pixels of images that are decoded side by side; one alone may have more.
MOST_PIXELS_AT_ONCE = 1 << 27


class Room:
    """What threads take at one time of something that there is only so much of.

    Examples
    --------
    >>> room = Room(10)
    >>> with room.taken(8):
    ...     room.left
    2
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._empty()
        if hasattr(os, "register_at_fork"):
            # The threads that would give back what they have taken are not there in a copy.
            os.register_at_fork(after_in_child=self._empty)

    def _empty(self) -> None:
        self.left = self.size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait until there is so much room, or until all of it is free."""
        amount = min(amount, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self.left >= amount)
            self.left -= amount
        try:
            yield
        finally:
            with self._changed:
                self.left += amount
                self._changed.notify_all()


_DECODING = Room(MOST_PIXELS_AT_ONCE)


@contextmanager
def opened_image(source: str | PathLike[str] | bytes, name: str = "") -> Iterator[Image]:
    """Open an image whose claims can be true; whatever is wrong is an `InputError`.

    Parameters
    ----------
    source : path or bytes
        A file, or the content of one.
    name : str
        What to call it in messages; by default its path.

    Yields
    ------
    PIL.Image.Image
        Of which no pixel is decoded yet.
    """
    from PIL import Image

    name = name or ("an image" if isinstance(source, bytes) else str(source))
    try:
        if not isinstance(source, bytes):
            check_regular(source)
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        with _PILLOWS_WARNINGS, Image.open(opened) as image:
            # Whatever its name; Pillow would have Ghostscript run it.
            if image.format == "EPS":
                raise ValueError("it is PostScript, which is a program; save it as PNG")
            n_pixels = max(image.width * image.height, _pixels_of_a_tile(image))
            _check_claim(source, n_pixels)
            with _DECODING.taken(n_pixels):
                yield image
    except DAMAGE as error:
        # From Python 3.12 on, its traceback holds what holds it: pixels would stay for a while.
        cause = error.with_traceback(None)
        raise InputError(f"{name} does not decode as an image: {error}") from cause
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is far larger than an image for training: {error}") from error


TILE_WIDTH, TILE_LENGTH = 322, 323


def _pixels_of_a_tile(image: Image) -> int:
    """Count the pixels of a tile of a TIFF, which is unpacked whole, however small the image is."""
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(tag) for tag in (TILE_WIDTH, TILE_LENGTH)]
    n_pixels = math.prod(side if isinstance(side, int) else 0 for side in sides)
    if n_pixels > MOST_PIXELS_AT_ONCE:
        raise ValueError(f"it has tiles of {sides[0]}x{sides[1]} pixels")
    return n_pixels


def _check_claim(source: str | PathLike[str] | bytes, n_pixels: int) -> None:
    n_bytes = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if n_pixels > max(LARGE_PIXELS, MOST_PIXELS_PER_BYTE * n_bytes):
        raise ValueError(f"it claims {n_pixels:,} pixels, more than {n_bytes:,} bytes can hold")


def read_image(source: str | PathLike[str] | bytes, name: str = "") -> Array:
    """Decode an image file; see `opened_image` and `pixels_of`.

    Parameters
    ----------
    source : path or bytes
    name : str
        What to call it in messages; by default its path.

    Returns
    -------
    ndarray of shape (h, w, 1) or (h, w, 3)

    Raises
    ------
    InputError
        If it does not decode, claims what cannot be, or holds several frames.
    """
    with opened_image(source, name) as image:
        return pixels_of(image)


# By the tag of EXIF that says how the camera was held: the names of Pillow's transpositions.
ORIENTATION = 0x0112
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}

GREY_MODES = ("1", "L", "LA", "La")


def pixels_of(image: Image) -> Array:
    """Turn an image of Pillow into an array, upright, whatever its mode.

    Grey modes and 1-bit become (h, w, 1), uint8; colours, palettes and CMYK become RGB; what is
    transparent shows the colour that the file has there, as in torchvision's datasets. Grey
    images of 16 bits become uint16 and of floating point float32, with the values they have.
    Pillow itself reads 16 bits a colour as 8.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    ndarray of shape (h, w, 1) or (h, w, 3)

    Raises
    ------
    ValueError
        If it holds several frames.

    Examples
    --------
    >>> from PIL import Image
    >>> pixels_of(Image.new("CMYK", (2, 1))).tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    >>> pixels_of(Image.new("I;16", (2, 1), 40_000)).tolist()
    [[[40000], [40000]]]
    """
    # Many a phone writes a second picture after the photograph, for its own use.
    if getattr(image, "is_animated", False) and getattr(image, "format", None) != "MPO":
        raise ValueError(
            f"it holds {image.n_frames} frames; save the one that is meant as an image of its own"  # type: ignore[attr-defined]
        )
    image.load()
    pixels = _by_mode(_upright(image))
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(ORIENTATION)
    except DAMAGE:  # in notes beside the pixels, which do no harm
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(Transpose[turn])


def _by_mode(image: Image) -> Array:
    mode = image.mode
    if mode in GREY_MODES:
        # There is no way from one to the other but by a third.
        return np.asarray((image.convert("LA") if mode == "La" else image).convert("L"))
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if mode in ("I", "F"):
        pixels = np.asarray(image)
        return pixels.astype(np.uint16) if image.format in ("PNG", "PPM") else pixels.copy()
    if mode in ("P", "PA"):
        # Straight to RGB, Pillow warns of palettes with a transparency for each colour.
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Fitting:
    """How images come to one size: the shorter side resized, then the centre cropped.

    Attributes
    ----------
    size : int
        Pixels a side that are left.
    fraction : float
        Of the shorter side that is left; the rest of it is cropped, too.
    interpolation : {"bilinear", "bicubic"}
        Antialiased.
    """

    size: int
    fraction: float = 1.0
    interpolation: Interpolation = "bilinear"

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Give height and width before the crop, as torchvision and timm count them."""
        shorter = max(math.floor(self.size / self.fraction), self.size)
        if height <= width:
            return shorter, max(int(shorter * width / height), self.size)
        return max(int(shorter * height / width), self.size), shorter

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Give the top and left of the crop, of a resized image."""
        return round((height - self.size) / 2), round((width - self.size) / 2)

    def leaves(self, height: int, width: int) -> bool:
        """Tell whether images of a size come out as they are."""
        return self.resized(height, width) == (height, width) == (self.size, self.size)


def fitted(pixels: Array, fitting: Fitting) -> Array:
    """Bring an image to a size.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, c)
        Numbers of any type.
    fitting : Fitting

    Returns
    -------
    ndarray of shape (size, size, c)
        Of the same type (uint8 for bool), within the range of the image's values; the image
        itself where it has the size.

    Examples
    --------
    >>> photo = np.zeros((40, 60, 3), dtype=np.uint8)
    >>> photo[:, 20:40] = 200
    >>> small = fitted(photo, Fitting(10))
    >>> small.shape, small[5, :, 0].tolist()
    ((10, 10, 3), [0, 0, 25, 175, 200, 200, 200, 175, 25, 0])
    """
    height, width, n_channels = pixels.shape
    if fitting.leaves(height, width):
        return pixels
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype == np.uint8 and n_channels in (1, 3):
        plain = pixels[..., 0] if n_channels == 1 else pixels
        return _resampled(np.ascontiguousarray(plain), fitting).reshape(
            fitting.size, fitting.size, n_channels
        )
    planes = [
        _resampled(np.ascontiguousarray(pixels[..., channel], dtype=np.float32), fitting)
        for channel in range(n_channels)
    ]
    # Rounding, and bicubic interpolation at edges, go beyond what was there.
    limited = np.stack(planes, axis=-1).clip(pixels.min(), pixels.max())
    return (limited.round() if pixels.dtype.kind in "iu" else limited).astype(pixels.dtype)


def _resampled(plain: Array, fitting: Fitting) -> Array:
    from PIL import Image

    height, width = plain.shape[:2]
    rows, columns = fitting.resized(height, width)
    top, left = fitting.corner(rows, columns)
    down, across = height / rows, width / columns
    # Only what is left is computed, however long the other side is.
    box = (
        left * across,
        top * down,
        min((left + fitting.size) * across, width),
        min((top + fitting.size) * down, height),
    )
    method = Image.Resampling[fitting.interpolation.upper()]
    return np.asarray(Image.fromarray(plain).resize((fitting.size,) * 2, method, box=box))


def repeated_grey(pixels: Array, n_channels: int) -> Array:
    """Give a grey image (h, w, 1) the channels of coloured ones."""
    if pixels.shape[-1] == n_channels:
        return pixels
    return np.repeat(pixels, n_channels, axis=-1)


def common_depth(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any] | None:
    """Tell the type that holds images of two types; None where there is none that is sure.

    Black and white of 8 and of 16 bits mean the same, so that one scale holds both; the larger
    of two floating-point types holds the smaller. What floating-point images have beside
    integers, 1 or 255, is not known.

    Examples
    --------
    >>> common_depth(np.dtype("uint8"), np.dtype("uint16"))
    dtype('uint16')
    >>> common_depth(np.dtype("uint8"), np.dtype("float32"))
    """
    if one == other:
        return one
    if {one, other} == {np.dtype(np.uint8), np.dtype(np.uint16)}:
        return np.dtype(np.uint16)
    return np.promote_types(one, other) if one.kind == other.kind == "f" else None


def as_depth(pixels: Array, dtype: np.dtype[Any]) -> Array:
    """Give pixels a deeper type that `common_depth` allows; others come back as they are.

    Examples
    --------
    >>> as_depth(np.array([0, 1, 255], dtype=np.uint8), np.dtype(np.uint16)).tolist()
    [0, 257, 65535]
    """
    if pixels.dtype == dtype or common_depth(pixels.dtype, dtype) != dtype:
        return pixels
    return pixels.astype(dtype) * 257 if dtype == np.uint16 else pixels.astype(dtype)


def pixels_of_sample(image: Image, index: int) -> Array:
    """Turn an image of Pillow into an array; what is wrong is an error with its sample's index."""
    try:
        with _PILLOWS_WARNINGS:
            return pixels_of(image)
    except DAMAGE as error:
        file = getattr(image, "filename", "")
        words = f"{f' ({file})' if file else ''} cannot be read: {error}"
        raise SampleError(index, words) from error
