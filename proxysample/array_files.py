"""Read .npy and .npz files of anyone: nothing in them is run, and little memory is taken."""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError

Array = npt.NDArray[Any]

# What the standard library and numpy raise on files that are damaged or something else.
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

# Numbers and strings of a fixed length, in the words of the format; Python objects are none.
PLAIN_TYPE = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|[US][0-9]{1,9})")
MOST_HEADER_BYTES = 10_000
N_AXES_AT_MOST = 32
BYTES_PER_READ = 1 << 22

# No deflated byte stands for more than 1,032; what claims more is refused before memory is taken.
MOST_PER_DEFLATED_BYTE = 1_032
# Arrays of zeros shrink as far as that, pictures and scores do not: of large files, such are bombs.
LARGE_BYTES = 1 << 30
MOST_PER_LARGE_BYTE = 100


@dataclass(frozen=True)
class _Header:
    """What stands before an array's bytes: its type, shape and order."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    n_bytes_before: int

    @property
    def n_bytes(self) -> int:
        """Of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: str | Path) -> Array:
    """Read the array of an .npy file; Python objects are refused, not loaded.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ndarray
        Of numbers or strings, in this machine's byte order.

    Raises
    ------
    InputError
        If the file is missing, damaged, no .npy file, or holds Python objects.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return _read_array(stream, path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path}: {_words(error)}") from None
    except DAMAGE as error:
        raise InputError(
            f"{path} is no .npy file, is damaged, or holds Python objects: {error}"
        ) from error


def map_npy(path: str | Path) -> Array:
    """Map the array of an .npy file into memory, to be read but not written.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    memmap
        Of numbers or strings, in the file's byte order.

    Raises
    ------
    InputError
        See `read_npy`; also if the file is larger or smaller than its header says.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header = _read_header(stream)
            _check_size(header, path.stat().st_size)
        if header.n_bytes == 0:
            return np.empty(header.shape, header.dtype)
        return np.memmap(
            path,
            header.dtype,
            "r",
            header.n_bytes_before,
            header.shape,
            "F" if header.is_fortran else "C",
        )
    except OSError as error:
        raise InputError(f"{path}: {_words(error)}") from None
    except DAMAGE as error:
        raise InputError(
            f"{path} is no .npy file, is damaged, or holds Python objects: {error}"
        ) from error


def read_npz(path: str | Path) -> dict[str, Array]:
    """Read every array of an .npz file; Python objects in it are refused, not loaded.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict
        Arrays by name; see `read_npy`.

    Raises
    ------
    InputError
        If the file is missing, damaged, no .npz file, holds Python objects, or would unpack to
        far more than any dataset does.
    """
    try:
        with Path(path).open("rb") as stream:
            return read_npz_stream(stream, str(path))
    except OSError as error:
        raise InputError(f"{path}: {_words(error)}") from None


def read_npz_stream(stream: BinaryIO, name: str) -> dict[str, Array]:
    """Read every array of an open .npz file; see `read_npz`.

    Parameters
    ----------
    stream : binary file
        At its start.
    name : str
        What to call it in messages.

    Returns
    -------
    dict
        Arrays by name.

    Raises
    ------
    InputError
        See `read_npz`.

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO()
    >>> np.savez(stream, scores=np.array([0.5, 0.25]))
    >>> read_npz_stream(stream, "the ranking")["scores"].tolist()
    [0.5, 0.25]
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) != len(names):
                raise ValueError("it names an array twice")
            _check_sizes(members)
            return {
                array: _read_member(archive, member)
                for array, member in zip(names, members, strict=True)
            }
    except DAMAGE as error:
        raise InputError(
            f"{name} is no .npz file, is damaged, or holds Python objects: {error}"
        ) from error


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _check_sizes(members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename} is compressed in a way that numpy never writes")
        if member.file_size > MOST_PER_DEFLATED_BYTE * (member.compress_size + 1):
            raise ValueError(f"{member.filename} claims more bytes than it can hold")
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > LARGE_BYTES and unpacked > MOST_PER_LARGE_BYTE * packed:
        raise ValueError(
            f"{packed:,} bytes would unpack to {unpacked:,}, as those of no dataset do; "
            "save such arrays uncompressed"
        )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as stream:
        return _read_array(stream, member.file_size)  # type: ignore[arg-type]  # reads binary


def _read_array(stream: BinaryIO, size: int) -> Array:
    header = _read_header(stream)
    _check_size(header, size)
    content = np.empty(header.n_bytes, np.uint8)
    _fill(content, stream)
    if header.dtype.kind == "U":
        _check_characters(content, header.dtype)
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    array = content.view(header.dtype).reshape(header.shape, order=order)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _check_size(header: _Header, size: int) -> None:
    if header.n_bytes_before + header.n_bytes != size:
        raise ValueError(
            f"an array of {header.shape} {header.dtype} takes {header.n_bytes:,} bytes, and "
            f"there are {size - header.n_bytes_before:,}"
        )


def _read_header(stream: BinaryIO) -> _Header:
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("it does not begin as an array of numpy")
    (length,) = (
        struct.unpack("<H", stream.read(2))
        if start[6] == 1
        else struct.unpack("<I", stream.read(4))
    )
    n_before = (10 if start[6] == 1 else 12) + length
    if length > MOST_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes")
    return _parse_header(stream.read(length).decode("latin-1"), n_before)


def _parse_header(text: str, n_bytes_before: int) -> _Header:
    # Literals only: nothing is called.
    values = ast.literal_eval(text)
    if not isinstance(values, dict) or set(values) != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header is not that of an array")
    kind, is_fortran, shape = (values[name] for name in ("descr", "fortran_order", "shape"))
    if not isinstance(kind, str) or PLAIN_TYPE.fullmatch(kind) is None:
        raise ValueError(f"its type {kind!r:.80} is neither of numbers nor of strings")
    if (
        not isinstance(shape, tuple)
        or len(shape) > N_AXES_AT_MOST
        or not all(type(length) is int and length >= 0 for length in shape)
        or not isinstance(is_fortran, bool)
    ):
        raise ValueError(f"its shape {shape!r:.80} is none")
    return _Header(np.dtype(kind), shape, is_fortran, n_bytes_before)


def _fill(content: npt.NDArray[np.uint8], stream: BinaryIO) -> None:
    """Read exactly as many bytes as there is room for."""
    for start in range(0, len(content), BYTES_PER_READ):
        wanted = len(content[start : start + BYTES_PER_READ])
        read = stream.read(wanted)
        if len(read) != wanted:
            raise EOFError("it is cut")
        content[start : start + wanted] = np.frombuffer(read, np.uint8)
    if stream.read(1):
        raise ValueError("more bytes follow than it claims")


def _check_characters(content: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> None:
    """Refuse what is no Unicode character: any later use would raise."""
    points = content.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    if np.any((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))):
        raise ValueError("a string in it holds what is no character")
