"""Which arrays of a file are its images and labels: by usual names, by given ones, in groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from proxysample.data.folders import TEST_PARTS, TRAIN_PART
from proxysample.errors import InputError, unknown_name
from proxysample.printing import shown

# Names under which files in the wild keep images or features, and then labels: in small letters or
# large ones.
IMAGE_KEYS = (
    "images", "x", "data", "features", "embeddings",
    "train_images", "x_train", "train_data",
)  # fmt: skip
LABEL_KEYS = (
    "labels", "y", "targets", "target", "label",
    "train_labels", "y_train", "train_targets",
)  # fmt: skip
TEST_IMAGE_KEYS = ("test_images", "x_test", "test_data")
TEST_LABEL_KEYS = ("test_labels", "y_test", "test_targets")

N_LISTED = 9

Names = tuple[str, str | None]


def part_names(
    names: Sequence[str],
    image: Any = None,
    label: Any = None,
    *,
    place: str | None = None,
    takes_any: bool = False,
) -> tuple[Names, Names | None]:
    """Tell which arrays are the images, or features, and labels of the training and test part.

    Parameters
    ----------
    names : sequence of str
        Of all arrays, with those of their groups before them, as in ``train/images``.
    image, label : str or int, optional
        Those that are meant; then there is no test part.
    place : str, optional
        A group, which is taken for all there is, or an array, which is the images.
    takes_any : bool
        Whether an array without others is taken whatever its name is.

    Raises
    ------
    InputError
        If there is no such array, or several may be meant.

    Examples
    --------
    >>> part_names(["photos", "species", "weights"], "photos", "species")
    (('photos', 'species'), None)
    >>> part_names(["test/x", "test/y", "train/x", "train/y"])
    (('train/x', 'train/y'), ('test/x', 'test/y'))
    >>> part_names(["a/x", "a/y", "b/x"], place="b")
    (('b/x', None), None)
    >>> part_names(["anything"], takes_any=True)
    (('anything', None), None)
    """
    if place is not None:
        return _in_place(names, image, label, place.strip("/"), takes_any)
    if image is not None or label is not None:
        # Others than these would be another dataset's.
        return _train_names(names, image, label, takes_any), None
    top = [name for name in names if "/" not in name]
    if not top and names:
        return _in_groups(names, takes_any)
    train = _train_names(top, None, None, takes_any)
    images = _only_name(top, TEST_IMAGE_KEYS, "image")
    test = None if images is None else (images, _only_name(top, TEST_LABEL_KEYS, "label"))
    return train, test


def _in_place(
    names: Sequence[str], image: Any, label: Any, place: str, takes_any: bool
) -> tuple[Names, Names | None]:
    if place in names:
        if image is not None:
            raise InputError(f"::{place} names the images already; leave image= out")
        return part_names(names, place, label, takes_any=takes_any)
    inside = _inside(names, place)
    if not inside:
        raise unknown_name("array or group", place, [*_groups(names), *names])
    try:
        return _behind(place, part_names(inside, image, label, takes_any=takes_any))
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _in_groups(names: Sequence[str], takes_any: bool) -> tuple[Names, Names | None]:
    """Take the one group that there is, or those of the two parts."""
    groups = list(dict.fromkeys(name.partition("/")[0] for name in names))
    if len(groups) == 1:
        return _in_place(names, None, None, groups[0], takes_any)
    if TRAIN_PART not in groups or set(groups) - {TRAIN_PART, *TEST_PARTS}:
        raise InputError(
            f"it holds {_listed(names)} and says not which are meant: name a group or the images "
            f"behind the path, as in PATH::{names[0]}, or pass image= and label="
        )
    train = _in_place(names, None, None, TRAIN_PART, takes_any)[0]
    test = next((group for group in TEST_PARTS if group in groups), None)
    return train, None if test is None else _in_place(names, None, None, test, takes_any)[0]


def _inside(names: Iterable[str], group: str) -> list[str]:
    return [name.removeprefix(f"{group}/") for name in names if name.startswith(f"{group}/")]


def _groups(names: Iterable[str]) -> list[str]:
    found = {name.rpartition("/")[0] for name in names}
    return sorted(found - {""})


def _behind(group: str, parts: tuple[Names, Names | None]) -> tuple[Names, Names | None]:
    train, test = parts
    return _named(group, train), None if test is None else _named(group, test)


def _named(group: str, names: Names) -> Names:
    images, labels = names
    return f"{group}/{images}", None if labels is None else f"{group}/{labels}"


def _train_names(names: Sequence[str], image: Any, label: Any, takes_any: bool) -> Names:
    """Tell which arrays are images and labels: those named, or of usual names beside them."""
    given = {
        role: str(name).strip("/")
        for role, name in {"image": image, "label": label}.items()
        if name is not None
    }
    for role, name in given.items():
        if name not in names:
            raise unknown_name(f"array for {role}=", name, names)
    # What is not named stands in the group of what is.
    group = next(iter(given.values()), "").rpartition("/")[0]
    beside = [name for name in names if name.rpartition("/")[0] == group]
    labels = given.get("label") or _only_name(beside, LABEL_KEYS, "label")
    if "image" in given:
        return given["image"], labels
    others = [name for name in beside if name != labels]
    images = _only_name(others, IMAGE_KEYS, "image")
    if images is None and len(others) == 1 and takes_any:
        images = others[0]
    if images is None:
        raise InputError(
            f"it holds {_listed(names)}; needed: images and labels, or pass image= and label="
        )
    return images, labels


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - N_LISTED:,} more" if len(names) > N_LISTED else ""
    return (", ".join(shown(name).strip("'") for name in names[:N_LISTED]) or "nothing") + more


def _only_name(names: Sequence[str], known: Sequence[str], role: str) -> str | None:
    """Find the array that a usual name is of; None where there is none.

    Examples
    --------
    >>> _only_name(["train/X", "train/weights"], IMAGE_KEYS, "image")
    'train/X'
    """
    found = [name for one in known for name in names if name.rpartition("/")[2].lower() == one]
    if len(found) > 1:
        choices = " or ".join(f"{role}={name!r}" for name in found)
        raise InputError(f"it holds {' and '.join(found)}, which may each be meant: pass {choices}")
    return found[0] if found else None


def split_place(path: str) -> tuple[str, str | None]:
    """Part a file's name from that of a group or array in it.

    Examples
    --------
    >>> split_place("photos.h5::train/images"), split_place("photos.h5")
    (('photos.h5', 'train/images'), ('photos.h5', None))
    """
    file, found, place = path.rpartition("::")
    return (file, place) if found and file and place.strip("/") else (path, None)
