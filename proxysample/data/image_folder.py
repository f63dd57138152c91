"""Image folders: one folder a class, decoded with Pillow."""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, unknown_name

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

OnError = Literal["stop", "skip"]

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

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


@dataclass(frozen=True)
class ImageFolder:
    """A decoded image folder.

    Attributes
    ----------
    images : ndarray of shape (n, h, w, c), uint8
        By class, then by file name.
    labels : ndarray of shape (n,), int64
    classes : list of str
        Folder names, sorted.
    files : list of Path
        The file of each image.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: list[str]
    files: list[Path]


class BrokenImageWarning(UserWarning):
    """Images that do not decode were left out; the message names each by index and file."""


def read_image_folder(root: Path, on_error: OnError = "stop") -> ImageFolder:
    """Decode every image of a folder of class folders, once all of their headers agree.

    At a terminal, progress bars show.

    Parameters
    ----------
    root : Path
        Holds one folder a class. Grey images stay grey where all are; else all become RGB.
    on_error : {"stop", "skip"}
        What to do where a file does not decode. Where it is skipped, the images that follow
        move up, and so indices count the images that do decode; `ImageFolder.files` tells the
        file of each.

    Returns
    -------
    ImageFolder

    Raises
    ------
    InputError
        If there are no classes, a class is empty, sizes differ, there is no memory for all
        images, or a file does not decode and is not to be skipped; its index among all files
        is told.

    Warns
    -----
    BrokenImageWarning
        Once, if files were skipped.
    """
    if on_error not in get_args(OnError):
        raise unknown_name("way to treat an error", on_error, get_args(OnError))
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir())
    if not folders:
        raise InputError(f"{root} holds no class folders; needed: {root}/CLASS/IMAGE.png")
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        members = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
        if not members:
            raise InputError(
                f"class folder {folder} holds no images ({', '.join(sorted(SUFFIXES))})"
            )
        files += members
        labels += [label] * len(members)
    reader = _Reader(files, on_error)
    images = reader.read()
    kept = [index for index in range(len(files)) if index not in reader.broken]
    if reader.broken:
        _tell_of_broken(root, reader.broken, len(files))
        left = {labels[index] for index in kept}
        empty = [folder for label, folder in enumerate(folders) if label not in left]
        if empty:
            raise InputError(f"class folder {empty[0]} holds no image that decodes")
    return ImageFolder(
        images=images,
        labels=np.array(labels, dtype=np.int64)[kept],
        classes=[folder.name for folder in folders],
        files=[files[index] for index in kept],
    )


def _tell_of_broken(root: Path, broken: Mapping[int, str], n_files: int) -> None:
    listed = "; ".join(f"image {index}: {words}" for index, words in sorted(broken.items()))
    warnings.warn(
        f"{len(broken)} of {n_files} images in {root} left out, and indices count the others: "
        f"{listed}",
        BrokenImageWarning,
        stacklevel=2,
    )


class _Header(NamedTuple):
    """What a file says of its image before any pixel is decoded."""

    width: int
    height: int
    is_grey: bool

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


class _Reader:
    """Reads all headers, and then all pixels; `broken` tells by index what was skipped."""

    def __init__(self, files: list[Path], on_error: OnError) -> None:
        self.files = files
        self.on_error = on_error
        self.broken: dict[int, str] = {}

    def read(self) -> npt.NDArray[np.uint8]:
        """Give the images that are left, in the order of their files."""
        headers = self._headers()
        self._refuse_unlike_sizes(headers)
        return self._decode(
            {index: header for index, header in headers.items() if index not in self.broken}
        )

    def _headers(self) -> dict[int, _Header]:
        headers = {}
        for index in _with_progress(range(len(self.files)), "reading headers"):
            header = self._attempt(index, _read_header)
            if header is not None:
                headers[index] = header
        return headers

    def _refuse_unlike_sizes(self, headers: Mapping[int, _Header]) -> None:
        by_size: dict[str, list[int]] = {}
        for index, header in headers.items():
            by_size.setdefault(header.size, []).append(index)
        if len(by_size) < 2:
            return
        # A file that is skipped may claim any size: of each, one that decodes is looked for.
        first: int | None = None
        for members in by_size.values():
            whole = next((one for one in members if self._counts(one, headers[one])), None)
            if first is not None and whole is not None:
                raise InputError(
                    f"{self.files[whole]} is {headers[whole].size}, {self.files[first]} is "
                    f"{headers[first].size}; resize all images to one size"
                )
            first = whole if first is None else first

    def _counts(self, index: int, header: _Header) -> bool:
        if self.on_error == "stop":
            return True
        return self._attempt(index, partial(_decode_file, header=header)) is not None

    def _decode(self, headers: Mapping[int, _Header]) -> npt.NDArray[np.uint8]:
        images = _reserve(headers)
        n_decoded = 0
        all_grey = True
        for index in _with_progress(headers, "decoding"):
            pixels = self._attempt(index, partial(_decode_file, header=headers[index]))
            if pixels is not None:
                images[n_decoded] = pixels
                n_decoded += 1
                all_grey &= headers[index].is_grey
        images = images[:n_decoded]
        # What had a colour may have been skipped.
        return images[..., :1].copy() if all_grey and images.shape[-1] > 1 else images

    def _attempt(self, index: int, read: Callable[[Path], T]) -> T | None:
        """Read a file; where it is broken, stop, or note it and give None."""
        try:
            return read(self.files[index])
        except InputError as error:
            if self.on_error == "stop":
                raise InputError(
                    f"image {index} of {len(self.files)}: {error}; repair or remove it, or leave "
                    "such images out with folder-skip-broken:PATH"
                ) from error
            self.broken[index] = str(error)
            return None


def _with_progress(indices: Collection[int], what: str) -> Iterator[int]:
    from tqdm import tqdm

    # None shows the bar at a terminal, and nowhere else.
    yield from tqdm(indices, desc=what, unit="image", disable=None)


def _reserve(headers: Mapping[int, _Header]) -> npt.NDArray[np.uint8]:
    """Make room for images of one size; no page of it is taken before pixels are put there."""
    if not headers:
        return np.empty((0, 0, 0, 1), dtype=np.uint8)
    first = next(iter(headers.values()))
    n_channels = 1 if all(header.is_grey for header in headers.values()) else 3
    shape = len(headers), first.height, first.width, n_channels
    try:
        return np.empty(shape, dtype=np.uint8)
    except MemoryError as error:
        raise InputError(
            f"{len(headers):,} images of {first.size} need {math.prod(shape) / 2**30:,.1f} GiB of "
            "memory, more than there is; resize them, or use fewer"
        ) from error


def _read_header(file: Path) -> _Header:
    with _opened(file) as image:
        return _Header(image.width, image.height, image.mode in ("1", "L", "LA"))


def _decode_file(file: Path, header: _Header) -> npt.NDArray[np.uint8]:
    """Give pixels of shape (h, w, 1) where the header is of a grey image, else (h, w, 3)."""
    with _opened(file) as image:
        pixels = np.asarray(image.convert("L" if header.is_grey else "RGB"))
        height, width = pixels.shape[:2]
        # Notes beside the pixels may turn an image as it is decoded.
        if (width, height) != (header.width, header.height):
            raise ValueError(f"its header says {header.size}, its pixels are {width}x{height}")
    return pixels[..., np.newaxis] if header.is_grey else pixels


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image whose claims can be true; whatever is wrong is an `InputError`."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged notes beside the pixels, of which many a photograph has some.
            warnings.simplefilter("ignore", UserWarning)
            # Its warning of what may be a bomb is an error here, as larger ones are.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                # Whatever its name; Pillow would have Ghostscript run it.
                if image.format == "EPS":
                    raise ValueError("it is PostScript, which is a program; save it as PNG")
                _check_claim(file, image.width * image.height)
                yield image
    except DAMAGE as error:
        raise InputError(f"{file} does not decode as an image: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{file} is far larger than an image for training: {error}") from error


def _check_claim(file: Path, n_pixels: int) -> None:
    n_bytes = file.stat().st_size
    if n_pixels > max(LARGE_PIXELS, MOST_PIXELS_PER_BYTE * n_bytes):
        raise ValueError(f"it claims {n_pixels:,} pixels, more than {n_bytes:,} bytes can hold")
