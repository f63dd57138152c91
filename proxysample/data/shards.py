"""Shards of WebDataset: tar files whose images are found once, and then read where they lie."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.folders import SUFFIXES, is_clutter
from proxysample.data.image_files import ImageFiles
from proxysample.data.images import read_image
from proxysample.data.path_tables import as_numbers
from proxysample.errors import InputError
from proxysample.files import check_regular, check_stays, expanded

Array = npt.NDArray[Any]

LABEL_SUFFIX = ".cls"
MOST_BYTES_PER_LABEL = 1 << 10
MOST_BYTES_PER_IMAGE = 1 << 30
MOST_SHARDS = 1 << 20

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Place:
    """Where the bytes of an image are."""

    shard: Path
    offset: int
    size: int


@dataclass(frozen=True)
class _Suffixes:
    """Which members of a key are meant; None takes all that are images by name."""

    image: str | None
    label: str


def _dotted(suffix: str | None) -> str | None:
    return None if suffix is None else f".{suffix.lower().removeprefix('.')}"


@dataclass
class _Sample:
    """What the members of one key are."""

    key: str
    images: list[tuple[str, Place]] = field(default_factory=list)
    label: str | None = None


class TarImages(ImageFiles):
    """Images in tar files, of which each is read alone when it is asked for.

    Parameters
    ----------
    places : sequence of Place
    names : sequence of Path
        Shard and member of each image, for messages.
    keys : sequence of str
        WebDataset's, one an image.
    targets : array-like of shape (n,), optional
        Integers or strings.
    """

    def __init__(
        self,
        places: Sequence[Place],
        names: Sequence[Path],
        keys: Sequence[str],
        targets: Any = None,
    ) -> None:
        super().__init__(names, targets)
        self.places = tuple(places)
        self.keys = tuple(keys)

    def raw_item(self, index: int) -> tuple[Array, Any]:
        """Give the pixels of one image as they are in its shard, and its label."""
        place = self.places[index]
        try:
            with place.shard.open("rb") as stream:
                stream.seek(place.offset)
                content = stream.read(place.size)
            if len(content) != place.size:
                raise InputError(f"{place.shard} is cut")
            pixels = read_image(content, str(self.files[index]))
        except OSError as error:
            raise InputError(
                f"{place.shard} cannot be read: {(error.strerror or str(error)).lower()}"
            ) from error
        except InputError as error:
            raise InputError(
                f"image {index % len(self)} of {len(self)}: {error}; repair it, or leave it out"
            ) from error
        label = None if self.targets is None else self.targets[index]
        return pixels, label.item() if isinstance(label, np.generic) else label


def read_shards(pattern: str, *, image: str | None = None, label: str | None = None) -> TarImages:
    """Find the images of shards, in one pass over the headers of their members.

    Parameters
    ----------
    pattern : str
        Such as ``shards/train-{000000..000099}.tar``, ``shards/*.tar``, or a folder of ``.tar``.
    image, label : str, optional
        Suffixes of the members, such as ``"left.png"`` and ``"txt"``; by default the one that is
        of an image, and ``"cls"``.

    Returns
    -------
    TarImages
        In the order of shards and members. Labels are those of the members ``KEY.cls``; there are
        none where no sample has one.

    Raises
    ------
    InputError
        If a shard is missing, damaged or compressed, a sample has several images, only some have
        labels, or there are none.
    """
    for role, suffix in {"image": image, "label": label}.items():
        if suffix is not None and not isinstance(suffix, str):
            raise InputError(f"{role}= of shards is a suffix of members, not {suffix!r:.80}")
    wanted = _Suffixes(_dotted(image), _dotted(label) or LABEL_SUFFIX)
    samples = [
        (shard, sample)
        for shard in expand(pattern)
        for sample in _samples(shard, wanted)
        if sample.images
    ]
    if not samples:
        raise InputError(f"the shards hold no images ({wanted.image or ', '.join(SUFFIXES)})")
    for shard, sample in samples:
        if len(sample.images) > 1:
            names = " and ".join(name for name, _ in sample.images)
            raise InputError(
                f"{shard}: sample {sample.key!r} has the images {names}: pass the suffix of one, "
                "such as image='left.png'"
            )
    labels = [sample.label for _, sample in samples]
    if None in labels and any(label is not None for label in labels):
        shard, sample = samples[labels.index(None)]
        raise InputError(f"{shard}: sample {sample.key!r} has no {wanted.label}, and others have")
    if label is not None and None in labels:
        raise InputError(f"no sample of the shards has a {wanted.label}")
    return TarImages(
        [sample.images[0][1] for _, sample in samples],
        [shard / sample.images[0][0] for shard, sample in samples],
        [sample.key for _, sample in samples],
        None if None in labels else _numbers_or_texts([str(label) for label in labels]),
    )


def _numbers_or_texts(labels: list[str]) -> list[int] | list[str]:
    """Spaces around numbers mean nothing, and those at the ends of texts tell them apart."""
    numbers = as_numbers([label.strip() for label in labels])
    return labels if isinstance(numbers[0], str) else numbers


def expand(pattern: str) -> list[Path]:
    """List the files that a pattern names: braces, then wildcards, or all ``.tar`` of a folder.

    Parameters
    ----------
    pattern : str

    Returns
    -------
    list of Path
        Braces in their order, wildcards sorted.

    Raises
    ------
    InputError
        If a file is missing, or there is none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(12):
    ...     (folder / f"{number:02}.tar").touch()
    >>> [file.name for file in expand(f"{folder}/{{09..11}}.tar")]
    ['09.tar', '10.tar', '11.tar']
    """
    path = expanded(pattern)
    if path.is_dir():
        files = _within(path, [file for file in path.glob("*.tar") if not is_clutter(file.name)])
        if not files:
            raise InputError(f"{path} holds no .tar")
    else:
        files = [file for name in _unbraced(str(path)) for file in _named(name)]
    if not files:
        raise InputError(f"no file is named {pattern}")
    for file in files:
        check_regular(file)
    return files


def _named(name: str) -> list[Path]:
    if not has_magic(name):
        return [Path(name)]
    folder = next(folder for folder in Path(name).parents if not has_magic(str(folder)))
    return _within(folder, [Path(file) for file in glob(name)])  # noqa: PTH207  # of any root


def _within(folder: Path, files: list[Path]) -> list[Path]:
    """Sort files that were found, not named, and refuse links that lead elsewhere."""
    home = Path(os.path.realpath(folder))
    for file in files:
        check_stays(file, home)
    return sorted(files)


def _unbraced(pattern: str) -> list[str]:
    parts: list[list[str]] = []
    end = 0
    for braces in _BRACES.finditer(pattern):
        parts += [[pattern[end : braces.start()]], _choices(braces[1])]
        end = braces.end()
    parts.append([pattern[end:]])
    if np.prod([len(part) for part in parts], dtype=float) > MOST_SHARDS:
        raise InputError(f"{pattern} names more than {MOST_SHARDS:,} files")
    return ["".join(chosen) for chosen in product(*parts)]


def _choices(text: str) -> list[str]:
    numbers = _RANGE.fullmatch(text)
    if numbers is None:
        return text.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    if last - first >= MOST_SHARDS:
        raise InputError(f"{{{text}}} names more than {MOST_SHARDS:,} files")
    return [f"{number:0{len(numbers[1])}}" for number in range(first, last + 1)]


def _samples(shard: Path, wanted: _Suffixes) -> Iterator[_Sample]:
    """Give the samples of a shard: members that follow one another and have one key."""
    current: _Sample | None = None
    n_bytes = shard.stat().st_size
    try:
        # Not r:*, so that what is compressed is told: in such a file nothing can be found again.
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                if not member.isreg() or member.issparse() or is_clutter(base):
                    continue
                stem, dot, suffix = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if current is None or key != current.key:
                    if current is not None:
                        yield current
                    current = _Sample(key)
                if member.offset_data + member.size > n_bytes:
                    raise InputError(f"{shard} is cut at {member.name}")
                _take(current, f"{dot}{suffix}".lower(), member, archive, shard, wanted)
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
        raise InputError(
            f"{shard} is no tar file, is damaged or compressed (then unpack it by gunzip or the "
            f"like): {error}"
        ) from None
    if current is not None:
        yield current


def _take(
    sample: _Sample,
    suffix: str,
    member: tarfile.TarInfo,
    archive: tarfile.TarFile,
    shard: Path,
    wanted: _Suffixes,
) -> None:
    if suffix == wanted.label:
        stream = archive.extractfile(member)
        if stream is None or member.size > MOST_BYTES_PER_LABEL or sample.label is not None:
            raise InputError(f"{shard}: {member.name} holds no label")
        sample.label = stream.read().decode().strip("\r\n")
    elif suffix == wanted.image or (wanted.image is None and suffix.endswith(SUFFIXES)):
        if member.size > MOST_BYTES_PER_IMAGE:
            raise InputError(f"{shard}: {member.name} is far larger than an image for training")
        place = Place(shard, member.offset_data, member.size)
        sample.images.append((member.name, place))
