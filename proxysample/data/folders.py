"""Folders of images: files and order of torchvision's ImageFolder, and some more layouts."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxysample.data.image_files import ImageFiles
from proxysample.errors import InputError, ProxysampleWarning
from proxysample.files import leads_out

# torchvision's IMG_EXTENSIONS.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

TRAIN_PART = "train"
TEST_PARTS = ("test", "val", "valid", "validation")

# What systems and tools leave behind; names that begin with a dot are another such kind.
CLUTTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})


class SkippedFilesWarning(ProxysampleWarning):
    """Files of a folder are no images by their names; the message counts them by suffix."""


@dataclass(frozen=True)
class Listing:
    """The images of a folder, none of which has been opened.

    Attributes
    ----------
    files : list of Path
        By class, then by folder and name.
    labels : list of int or None
        None where the folder has no class folders.
    classes : list of str or None
        Names of the class folders, sorted; some may be empty.
    skipped : dict
        Number of files that are no images, by suffix.
    """

    files: list[Path]
    labels: list[int] | None
    classes: list[str] | None
    skipped: Mapping[str, int] = field(default_factory=dict)


def list_folder(root: Path, known: Iterable[str] = (), home: Path | None = None) -> Listing:
    """List a folder of class folders, or of images alone, as ``torchvision``'s ImageFolder does.

    Parameters
    ----------
    root : Path
        Class folders may hold folders. Images beside class folders belong to no class and are
        skipped.
    known : iterable of str
        Classes that come first, in this order, whether there are folders of them or not.
    home : Path, optional
        What links must not lead out of, see `home_of`; by default they may lead anywhere.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        If there are no images, a folder cannot be listed, or links lead out of `home` or round in
        a circle.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat/b.png", "cat/old/a.JPG", "cat/notes.txt", "dog/.DS_Store"):
    ...     (folder / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (folder / name).touch()
    >>> listing = list_folder(folder)
    >>> [str(file.relative_to(folder)) for file in listing.files], listing.classes
    (['cat/b.png', 'cat/old/a.JPG'], ['cat', 'dog'])
    >>> listing.skipped
    {'.txt': 1}
    """
    folders = class_folders(root, home)
    skipped: Counter[str] = Counter()
    own = _images(root, skipped, home)
    if not folders:
        if not own:
            raise InputError(
                f"{root} holds no class folders and no images{_told(skipped)}; needed: "
                f"{root}/CLASS/IMAGE.png, or {root}/IMAGE.png without classes "
                f"({', '.join(SUFFIXES)})"
            )
        return Listing(own, None, None, dict(skipped))
    skipped.update(f"{file.suffix.lower()} beside the class folders" for file in own)
    classes = list(dict.fromkeys([*known, *folders]))
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        members = _walk(root / name, skipped, home) if name in folders else []
        files += members
        labels += [label] * len(members)
    if not files:
        raise InputError(
            f"the class folders in {root} hold no images{_told(skipped)} ({', '.join(SUFFIXES)})"
        )
    return Listing(files, labels, classes, dict(skipped))


def home_of(root: Path, follow_links: bool) -> Path | None:
    """Give the folder that links must not lead out of; None where they may lead anywhere."""
    return None if follow_links else Path(os.path.realpath(root))


def class_folders(root: Path, home: Path | None = None) -> list[str]:
    """Name the folders in a folder, sorted, but those that are hidden."""
    return sorted(_names(root, home, files=False))


def _names(root: Path, home: Path | None, *, files: bool) -> list[str]:
    try:
        with os.scandir(root) as entries:
            found = [
                entry
                for entry in entries
                if entry.is_dir() != files and not is_clutter(entry.name) and not _is_special(entry)
            ]
    except OSError as error:
        raise InputError(f"{root} cannot be listed: {(error.strerror or '').lower()}") from None
    for entry in found:
        if home is not None and entry.is_symlink() and (not files or _is_image(entry.name)):
            _check_link(entry.path, home)
    return sorted(entry.name for entry in found)


def _check_link(link: str, home: Path) -> None:
    """Refuse a link that opens what is not in its folder: that may come from anybody."""
    if leads_out(link, home):
        raise InputError(
            f"{link} is a link that leads out of {home}; where you trust the folder, and what "
            "--link-to makes is such a one, name it folder,follow_links=true:PATH, or pass "
            "follow_links=True to load_dataset"
        )


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a pipe, a socket or a device, which would be waited for forever."""
    return not entry.is_dir() and not entry.is_file() and Path(entry.path).exists()


def is_clutter(name: str) -> bool:
    """Tell whether a name is of a file or folder that people do not see.

    Examples
    --------
    >>> [is_clutter(name) for name in (".DS_Store", "._1.jpg", "Thumbs.db", "1.jpg")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in CLUTTER


def _walk(folder: Path, skipped: Counter[str], home: Path | None) -> list[Path]:
    # The order is that of torchvision: of whole paths of folders, and of names within each.
    found = sorted(_folders_below(folder, (), home))
    return [file for place in found for file in _images(Path(place), skipped, home)]


def _folders_below(folder: Path, above: tuple[str, ...], home: Path | None) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        raise InputError(f"{folder} is a link to a folder that it is in; remove the link")
    yield str(folder)
    for name in class_folders(folder, home):
        yield from _folders_below(folder / name, (*above, real), home)


def _images(folder: Path, skipped: Counter[str], home: Path | None) -> list[Path]:
    """List the images in a folder, and count its other files."""
    names = _names(folder, home, files=True)
    others = [name for name in names if not _is_image(name)]
    skipped.update(Path(name).suffix.lower() or "without a suffix" for name in others)
    return [folder / name for name in names if _is_image(name)]


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _told(skipped: Mapping[str, int]) -> str:
    if not skipped:
        return ""
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
    return f" (skipped: {counts})"


def read_image_files(root: Path, known: Iterable[str] = (), home: Path | None = None) -> ImageFiles:
    """List a folder as a dataset, and tell what was skipped.

    Parameters
    ----------
    root, known, home
        See `list_folder`.

    Returns
    -------
    ImageFiles

    Raises
    ------
    InputError
        See `list_folder`.

    Warns
    -----
    SkippedFilesWarning
        If there are other files.
    """
    listing = list_folder(root, known, home)
    if listing.skipped:
        count = sum(listing.skipped.values())
        warnings.warn(
            f"{count} file{'s' if count > 1 else ''} in {root} left out, which by name "
            f"{'are no images' if count > 1 else 'is no image'} of a class"
            f"{_told(listing.skipped)}",
            SkippedFilesWarning,
            stacklevel=3,
        )
    made = ImageFiles(listing.files, listing.labels, listing.classes)
    made.root = root
    return made


def parts_of(root: Path, home: Path | None = None) -> tuple[Path, Path | None]:
    """Tell which folders are the training and the test part.

    Parameters
    ----------
    root : Path
        ``train`` and ``test`` (or ``val``, ``valid``, ``validation``) in it are parts, and not
        classes of these names, where ``train`` holds folders or there are no other folders.
    home : Path, optional
        See `list_folder`.

    Returns
    -------
    train : Path
    test : Path or None

    Raises
    ------
    InputError
        If there is no such folder, or see `list_folder`.
    """
    if not root.is_dir():
        raise InputError("no such folder" if not root.exists() else "it is no folder")
    folders = class_folders(root, home)
    others = set(folders) - {TRAIN_PART, *TEST_PARTS}
    if TRAIN_PART not in folders or (others and not class_folders(root / TRAIN_PART, home)):
        return root, None
    test = next((root / name for name in TEST_PARTS if name in folders), None)
    return root / TRAIN_PART, test
