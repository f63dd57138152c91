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


def list_folder(root: Path, known: Iterable[str] = ()) -> Listing:
    """List a folder of class folders, or of images alone, as ``torchvision``'s ImageFolder does.

    Parameters
    ----------
    root : Path
        Class folders may hold folders, and links are followed. Images beside class folders
        belong to no class and are skipped.
    known : iterable of str
        Classes that come first, in this order, whether there are folders of them or not.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        If there are no images, a folder cannot be listed, or links lead round in a circle.

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
    folders = class_folders(root)
    skipped: Counter[str] = Counter()
    own = list(_split_by_suffix(_names(root, files=True), root, skipped))
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
        members = _walk(root / name, skipped) if name in folders else []
        files += members
        labels += [label] * len(members)
    if not files:
        raise InputError(
            f"the class folders in {root} hold no images{_told(skipped)} ({', '.join(SUFFIXES)})"
        )
    return Listing(files, labels, classes, dict(skipped))


def class_folders(root: Path) -> list[str]:
    """Name the folders in a folder, sorted, but those that are hidden."""
    return sorted(_names(root, files=False))


def _names(root: Path, *, files: bool) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir() != files and not is_clutter(entry.name) and not _is_special(entry)
            )
    except OSError as error:
        raise InputError(f"{root} cannot be listed: {(error.strerror or '').lower()}") from None


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


def _walk(folder: Path, skipped: Counter[str]) -> list[Path]:
    # The order is that of torchvision: of whole paths of folders, and of names within each.
    found = sorted(_folders_below(folder, ()))
    return [
        file
        for place in found
        for file in _split_by_suffix(_names(Path(place), files=True), Path(place), skipped)
    ]


def _folders_below(folder: Path, above: tuple[str, ...]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        raise InputError(f"{folder} is a link to a folder that it is in; remove the link")
    yield str(folder)
    for name in class_folders(folder):
        yield from _folders_below(folder / name, (*above, real))


def _split_by_suffix(names: list[str], folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    for name in names:
        if name.lower().endswith(SUFFIXES):
            yield folder / name
        else:
            skipped[Path(name).suffix.lower() or "without a suffix"] += 1


def _told(skipped: Mapping[str, int]) -> str:
    if not skipped:
        return ""
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
    return f" (skipped: {counts})"


def read_image_files(root: Path, known: Iterable[str] = ()) -> ImageFiles:
    """List a folder as a dataset, and tell what was skipped.

    Parameters
    ----------
    root, known
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
    listing = list_folder(root, known)
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


def parts_of(root: Path) -> tuple[Path, Path | None]:
    """Tell which folders are the training and the test part.

    Parameters
    ----------
    root : Path
        ``train`` and ``test`` (or ``val``, ``valid``, ``validation``) in it are parts, and not
        classes of these names, where ``train`` holds folders or there are no other folders.

    Returns
    -------
    train : Path
    test : Path or None

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not root.is_dir():
        raise InputError("no such folder" if not root.exists() else "it is no folder")
    folders = class_folders(root)
    others = set(folders) - {TRAIN_PART, *TEST_PARTS}
    if TRAIN_PART not in folders or (others and not class_folders(root / TRAIN_PART)):
        return root, None
    test = next((root / name for name in TEST_PARTS if name in folders), None)
    return root / TRAIN_PART, test
