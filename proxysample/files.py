"""Files that are written whole or not at all, and arrays read as if a stranger had made them."""

from __future__ import annotations

import ast
import errno
import math
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError
from proxysample.printing import shown

# What a disk answers that takes no more, or of a folder that is gone; any other error of the
# system is the caller's. numpy gives no number where it could write a part alone.
REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
    | {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE, errno.EMFILE}
    | {None}
)

# Bytes of a name that a file system takes, and of that part of it that a file beside it repeats.
MOST_BYTES_PER_NAME = 255
MOST_BYTES_PER_PATH = 4_095
MOST_CHARACTERS_REPEATED = 50


@contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file beside its place, then move it there in one step.

    A crash in the middle leaves the old file, or none, never half of one.

    Parameters
    ----------
    path : str or Path
        Where the file will be.

    Yields
    ------
    stream : binary file
        To be written to.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to, or the disk is full.

    Examples
    --------
    >>> folder = tempfile.mkdtemp()
    >>> with replace_file(Path(folder) / "greeting") as stream:
    ...     _ = stream.write(b"hello")
    >>> (Path(folder) / "greeting").read_text()
    'hello'
    """
    path = as_path(path)
    check_writable(path)
    with refusals_explained(path), _replaced(path) as stream:
        yield stream


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    # A new file's permissions follow the umask, not mkstemp's owner-only default.
    prefix = f".{path.name[:MOST_CHARACTERS_REPEATED]}-"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


@contextmanager
def replace_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder beside its place, then move it there in one step: to a new or empty one.

    A crash in the middle leaves no folder there.

    Yields
    ------
    Path
        Of the folder while it is filled.

    Raises
    ------
    InputError
        If it cannot be written to, or the disk is full.

    Examples
    --------
    >>> target = Path(tempfile.mkdtemp()) / "letters"
    >>> with replace_folder(target) as folder:
    ...     _ = (folder / "first").write_text("hello")
    >>> [file.name for file in target.iterdir()]
    ['first']
    """
    path = Path(path)
    with refusals_explained(path):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        try:
            # As a new folder would be: mkdtemp lets in its owner alone.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o777 & ~umask)
            yield temporary
            try:
                temporary.replace(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise InputError(
                    f"{path} has been filled meanwhile, by another process: name another folder"
                ) from error
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextmanager
def refusals_explained(path: str | Path) -> Iterator[None]:
    """Turn what a full or read-only disk answers into an error that names the file.

    Parameters
    ----------
    path : str or Path
        What is being written.

    Raises
    ------
    InputError
        If the disk is full or read-only, a limit is reached or the user may not write.

    Examples
    --------
    >>> with refusals_explained("a.npz"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.npz cannot be written: no space left on device
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise InputError(f"{path} cannot be written: {_words(error)}") from error


def save_documents(documents: Mapping[str, str], folder: Path) -> list[Path]:
    """Write texts, by the names of their files, into a folder, and return the files."""
    paths = []
    for name, text in documents.items():
        paths.append(folder / name)
        with replace_file(paths[-1]) as stream:
            stream.write(text.encode())
    return paths


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it cannot be made, or a file stands in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path} cannot be a folder: a file stands in its place") from None
    except (OSError, ValueError) as error:
        raise InputError(f"the folder {path} cannot be made: {_words(error)}") from error


def remove_whole(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where neither is there.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be removed.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "notes").write_text("hello")
    >>> remove_whole(folder)
    >>> folder.exists()
    False
    """
    # Others may be removing the same.
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_output(path: str | Path, suffix: str, what: str) -> None:
    """Check, before hours of work, that a file can be written and has the name of its kind.

    Parameters
    ----------
    path : str or Path
        Where the file will be.
    suffix : str
        What its name has to end in.
    what : str
        What is written, and "is written" or the like, for the message.

    Raises
    ------
    InputError
        If the name ends otherwise, or see `check_writable`.

    Examples
    --------
    >>> check_output("cat.pdf", ".html", "a report is saved")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a report is saved as .html, not 'cat.pdf'
    """
    if as_path(path).suffix != suffix:
        raise InputError(f"{what} as {suffix}, not {Path(path).name!r}")
    check_writable(path)


def check_writable(path: str | Path) -> None:
    """Check, before hours of work, that a file can be written.

    Parameters
    ----------
    path : str or Path
        Where the file will be.

    Raises
    ------
    InputError
        If its folder is missing or read-only, or something else stands in its place: a folder,
        or a device, which must never be replaced.
    """
    path = as_path(path)
    check_name(path)
    mode = _mode_of(path)
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; name a file in it")
    if mode and not stat.S_ISREG(mode):
        raise InputError(f"{path} is no regular file, and cannot be replaced; name another")
    if not stat.S_ISDIR(_mode_of(path.parent)):
        raise InputError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} cannot be written to")


def _mode_of(path: Path) -> int:
    """Tell what is at a path, through links; 0 where nothing is, or nobody may look."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def as_path(path: Any) -> Path:
    """Give a path of a user's, with ``~`` as it stands; refuse what is none.

    Examples
    --------
    >>> as_path(3)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a path must be a string or a path, not 3
    """
    try:
        text = os.fspath(path)
    # Of no path, or whatever anyone's path raises.
    except Exception:
        text = None
    if not isinstance(text, str):
        raise InputError(f"a path must be a string or a path, not {shown(path)}")
    if "\0" in text:
        raise InputError(f"a file cannot be named {shown(path)}: it holds a null character")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise InputError(f"a file cannot be named {shown(path)}: it holds half of one") from None
    # The system tells of it in other places, and not on each Python alike.
    if len(encoded) > MOST_BYTES_PER_NAME:
        _check_lengths(encoded, text)
    return Path(text)


def _check_lengths(encoded: bytes, text: str) -> None:
    if max(map(len, encoded.split(os.fsencode(os.sep)))) > MOST_BYTES_PER_NAME:
        raise InputError(
            f"a file cannot be named {shown(Path(text).name, 50)}...: a name has at most "
            f"{MOST_BYTES_PER_NAME} bytes"
        )
    if len(encoded) > MOST_BYTES_PER_PATH:
        raise InputError(
            f"a file cannot be named {shown(text, 50)}...: a path has at most "
            f"{MOST_BYTES_PER_PATH:,} bytes"
        )


def expanded(path: Any) -> Path:
    """Give a path of a user's, see `as_path`; ``~`` stands for a home folder, where there is one.

    Examples
    --------
    >>> expanded("~nobody-of-this-name/a.png")
    PosixPath('~nobody-of-this-name/a.png')
    """
    # Path.expanduser raises where there is no such user.
    return Path(os.path.expanduser(as_path(path)))  # noqa: PTH111


# Where the kernel shows itself as files, of which some end never and some wait.
NO_DISKS = ("/proc/", "/sys/")


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what is no file on a disk: devices, pipes and the like never end, or wait for ever.

    Parameters
    ----------
    path : str or path
        Links count by where they lead.

    Raises
    ------
    InputError
        If it is missing, or no regular file.

    Examples
    --------
    >>> check_regular("/dev/zero")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: /dev/zero is no regular file
    """
    path = as_path(path)
    try:
        mode = path.stat().st_mode
        real = os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{os.fspath(path)}: {_words(error)}") from None
    if not stat.S_ISREG(mode) or real.startswith(NO_DISKS):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise InputError(f"{os.fspath(path)} is {what}")


def leads_out(path: str | os.PathLike[str], home: Path) -> bool:
    """Tell whether a path leads out of a folder, whose own links are resolved.

    Examples
    --------
    >>> leads_out("/photos/../a.png", Path("/photos")), leads_out("/photos/a.png", Path("/photos"))
    (True, False)
    """
    return not Path(os.path.realpath(path)).is_relative_to(home)


def check_stays(path: str | os.PathLike[str], home: Path) -> None:
    """Refuse a path that leads out of a folder which may come from anybody; see `leads_out`."""
    if leads_out(path, home):
        raise InputError(
            f"{os.fspath(path)} is a link that leads out of {home}; put the file itself there"
        )


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to be read, see `check_regular`; whatever is wrong is an `InputError`."""
    check_regular(path)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: {_words(error)}") from None


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a regular file whole, if it holds at most so many bytes.

    Raises
    ------
    InputError
        If it holds more, is missing or no regular file.
    """
    with open_regular(path) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise InputError(f"{os.fspath(path)}: {_words(error)}") from None
    if len(content) > most:
        raise InputError(f"{os.fspath(path)} is far too large: it holds more than {most:,} bytes")
    return content


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can have.

    Examples
    --------
    >>> check_name("a" * 300)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a file cannot be named 'aaa...
    """
    try:
        os.lstat(path)  # any path
    except FileNotFoundError:
        # The system tells of a name that is too long only where its folder is.
        longest = max((len(os.fsencode(part)) for part in Path(path).parts), default=0)
        if longest > MOST_BYTES_PER_NAME:
            raise InputError(
                f"a file cannot be named {shown(Path(path).name, 50)}...: a name has at most "
                f"{MOST_BYTES_PER_NAME} bytes"
            ) from None
    except (OSError, ValueError) as error:
        # Without permission the folder is what is wrong, and is told.
        if not isinstance(error, PermissionError | NotADirectoryError):
            raise InputError(
                f"a file cannot be named {shown(os.fspath(path), 50)}...: {_words(error)}"
            ) from None


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
    path = as_path(path)
    with open_regular(path) as stream:
        try:
            return _read_array(stream, os.fstat(stream.fileno()).st_size)
        except DAMAGE as error:
            raise InputError(
                f"{path} is no .npy file, is damaged, or holds Python objects: {error}"
            ) from error


def map_npy(path: str | Path) -> Array:
    """Map the array of an .npy file of numbers, of which nothing is read yet.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ndarray
        Read-only; in the file's byte order.

    Raises
    ------
    InputError
        See `read_npy`; and if it holds strings or nothing.
    """
    path = as_path(path)
    check_regular(path)
    try:
        with path.open("rb") as stream:
            header = _read_header(stream)
        n_bytes = path.stat().st_size
        if header.dtype.kind not in "biuf" or not header.n_bytes:
            raise ValueError(f"an array of {header.shape} {header.dtype} is no images or features")
        if header.n_bytes_before + header.n_bytes != n_bytes:
            raise ValueError(
                f"an array of {header.shape} {header.dtype} takes {header.n_bytes:,} bytes, and "
                f"there are {n_bytes - header.n_bytes_before:,}"
            )
        order: Literal["F", "C"] = "F" if header.is_fortran else "C"
        return np.memmap(path, header.dtype, "r", header.n_bytes_before, header.shape, order)
    except OSError as error:
        raise InputError(f"{path}: {_words(error)}") from None
    except DAMAGE as error:
        raise InputError(
            f"{path} is no .npy file, is damaged, or holds Python objects: {error}"
        ) from error


def read_npz(path: str | Path, arrays: Collection[str] | None = None) -> dict[str, Array]:
    """Read arrays of an .npz file; Python objects in it are refused, not loaded.

    Parameters
    ----------
    path : str or Path
        The file.
    arrays : collection of str, optional
        Names of those to read, of which some may be missing; by default all.

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
    with open_regular(path) as stream:
        return read_npz_stream(stream, str(path), arrays)


def npz_names(path: str | Path) -> list[str]:
    """List the names of the arrays of an .npz file, of which none is read.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of str
        In the order of the file.

    Raises
    ------
    InputError
        If the file is missing, damaged or no .npz file.
    """
    with open_regular(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                return list(_members(archive))
        except DAMAGE as error:
            raise InputError(f"{path} is no .npz file or is damaged: {error}") from error


def read_npz_stream(
    stream: BinaryIO, name: str, arrays: Collection[str] | None = None
) -> dict[str, Array]:
    """Read arrays of an open .npz file; see `read_npz`.

    Parameters
    ----------
    stream : binary file
        At its start.
    name : str
        What to call it in messages.
    arrays : collection of str, optional
        See `read_npz`.

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
    name = name if isinstance(name, str) else shown(name)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {
                array: member
                for array, member in _members(archive).items()
                if arrays is None or array in arrays
            }
            _check_sizes(list(members.values()))
            return {array: _read_member(archive, member) for array, member in members.items()}
    except DAMAGE as error:
        raise InputError(
            f"{name} is no .npz file, is damaged, or holds Python objects: {error}"
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
    named = {member.filename.removesuffix(".npy"): member for member in members}
    if len(named) != len(members):
        raise ValueError("it names an array twice")
    return named


def _words(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


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
    if header.n_bytes_before + header.n_bytes != size:
        raise ValueError(
            f"an array of {header.shape} {header.dtype} takes {header.n_bytes:,} bytes, and "
            f"there are {size - header.n_bytes_before:,}"
        )
    content = np.empty(header.n_bytes, np.uint8)
    _fill(content, stream)
    if header.dtype.kind == "U":
        _check_characters(content, header.dtype)
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    array = content.view(header.dtype).reshape(header.shape, order=order)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


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
        raise ValueError(f"its type {shown(kind)} is neither of numbers nor of strings")
    if (
        not isinstance(shape, tuple)
        or len(shape) > N_AXES_AT_MOST
        or not all(type(length) is int and length >= 0 for length in shape)
        or not isinstance(is_fortran, bool)
    ):
        raise ValueError(f"its shape {shown(shape)} is none")
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
