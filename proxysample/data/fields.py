"""Which part of an item is the image and which the label: named by the user, or beyond doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypedDict, get_args

from proxysample.checks import BOOLEAN, has_attributes
from proxysample.data.image_files import raw_item
from proxysample.data.labels import Unsure
from proxysample.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS, positional, tell_coarser
from proxysample.errors import InputError, check_names, unknown_name
from proxysample.printing import shown

Field = str | int | Callable[[Any], Any]
"""A key, a position, a column or a function of the item."""

Broken = Literal["stop", "skip"]

# So many candidates are named in a message.
N_NAMED = 10


class FieldArguments(TypedDict, total=False):
    """What `Sampler.fit` and its like take of a dataset beside it; see `Samples`."""

    image: Field | None
    label: Field | None
    features: Any
    broken: Broken
    distinct_labels: bool


def check_fields(function: str, given: Iterable[str]) -> None:
    """Raise `InputError` for a keyword of a function that is no `FieldArguments`."""
    check_names(f"keyword of {function}", given, FieldArguments.__annotations__)


@dataclass(frozen=True, eq=False)
class Fields:
    """Where images and labels are in the items of a dataset.

    Attributes
    ----------
    image, label : str, int, callable or None
        A key, a position, a column or a function of the item; None looks where there is no doubt.
    features : str, int, callable, list of str, ndarray of shape (n, d) or None
        A field of vectors in place of images, several columns of numbers, or the vectors.

    Raises
    ------
    InputError
        If a field is something else, or both `image` and `features` are given.

    Examples
    --------
    >>> Fields(image="photo").pair({"photo": [[0]], "label": 4}, index=0)
    ([[0]], 4)
    >>> Fields(label=lambda item: item[1]["labels"][0]).pair(([[0]], {"labels": [7, 7]}), index=0)
    ([[0]], 7)
    """

    image: Field | None = None
    label: Field | None = None
    features: Any = None

    def __post_init__(self) -> None:
        for name in ("image", "label"):
            _check_field(name, getattr(self, name))
        if self.features is None:
            return
        if self.image is not None:
            raise InputError("give image= or features=, not both: features are read in its place")
        if not self.has_array and not self.columns:
            _check_field("features", self.features)

    @property
    def has_array(self) -> bool:
        """Whether features are given as an array."""
        return has_attributes(self.features, "shape") or has_attributes(self.features, "__array__")

    @property
    def columns(self) -> list[str]:
        """Columns of numbers that are features together; empty where a field is named."""
        given = self.features
        several = isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)
        return list(given) if several else []

    @property
    def pixels(self) -> Field | None:
        """The field of images, or of what is read in their place."""
        return self.image if self.features is None or self.has_array else self.features

    def pair(self, item: Any, index: int) -> tuple[Any, Any]:
        """Give the image and the label of an item, None or `Unsure` where that has none.

        Parameters
        ----------
        item : object
            What ``dataset[index]`` gives.
        index : int
            For messages.

        Raises
        ------
        InputError
            If there is no such image, or which it is is not sure.
        """
        return self._image(item, index), self.label_of(item, index)

    def _image(self, item: Any, index: int) -> Any:
        if self.has_array:
            return self.features[index]
        field = _image_field(item, self.pixels, index)
        role = "image" if self.features is None else "features"
        return item if field is None else take(item, field, role, index)

    def label_of(self, item: Any, index: int) -> Any:
        """Give the label of an item; None where it has none, `Unsure` where it cannot be told."""
        try:
            if self.label is not None:
                return take(item, self.label, "label", index)
            field = _label_field(item, self.pixels, index)
            return None if field is None else take(item, field, "label", index)
        except InputError as error:
            return Unsure(str(error))


def _check_field(name: str, field: object) -> None:
    if field is None or (isinstance(field, str | int) and not isinstance(field, bool)):
        return
    if not callable(field):
        more = ", a list of columns or an array (n, d)" if name == "features" else ""
        raise InputError(
            f"{name}= must be a key, a position, a column or a function of the item{more}, not "
            f"{shown(field)}"
        )


def take(item: Any, field: Field, role: str, index: int) -> Any:
    """Take a field of an item.

    Parameters
    ----------
    item : object
        A mapping, a sequence, or an object with attributes.
    field : str, int or callable
    role : str
        Such as ``"label"``, for messages.
    index : int
        Of the item, for messages.

    Raises
    ------
    InputError
        If there is none; the message names those that there are.

    Examples
    --------
    >>> take((1, 2, 3), -1, "label", index=0)
    3
    """
    if callable(field):
        return _called(item, field, role, index)
    if isinstance(item, Mapping):
        key = next((key for key in (field, str(field)) if key in item), None)
        if key is None:
            raise _no_field(role, field, index, item)
        return item[key]
    if isinstance(field, int):
        if not isinstance(item, tuple | list) or not -len(item) <= field < len(item):
            raise _no_field(role, field, index, item)
        return item[field]
    # Named tuples, data classes and their like.
    if field in _names(item):
        return getattr(item, field)
    raise _no_field(role, field, index, item)


def _called(item: Any, field: Callable[[Any], Any], role: str, index: int) -> Any:
    try:
        return field(item)
    # Whatever anyone's function raises.
    except Exception as error:
        raise InputError(
            f"{role}= is a function that fails on sample {index}, which is {describe_item(item)}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _names(item: Any) -> list[str]:
    for name in ("_fields", "__dataclass_fields__", "__dict__"):
        if has_attributes(item, name) and getattr(item, name) is not None:
            return list(getattr(item, name))
    return []


def _no_field(role: str, field: object, index: int, item: Any) -> InputError:
    known = item if isinstance(item, Mapping) else _names(item)
    if isinstance(field, str) and known:
        return unknown_name(f"field for {role}=", field, [str(one) for one in known])
    return InputError(
        f"{role}={shown(field)}: sample {index} is {describe_item(item)}, and has no such"
    )


def describe_item(item: Any) -> str:
    """Say what an item is, in words.

    Examples
    --------
    >>> describe_item({"photo": 1, "label": 2}), describe_item((1, 2))
    ('a mapping with photo, label', 'a tuple of 2: int, int')
    """
    if isinstance(item, Mapping):
        return f"a mapping with {', '.join(map(str, item))}"
    if isinstance(item, tuple | list):
        kinds = ", ".join(_describe_part(part) for part in item[:6])
        return f"a {type(item).__name__} of {len(item)}: {kinds}"
    return f"a {type(item).__name__}"


def _describe_part(part: Any) -> str:
    shape = getattr(part, "shape", None)
    kind = type(part).__name__
    return kind if shape is None else f"{kind} of shape {tuple(shape)}"


def _image_field(item: Any, field: Field | None, index: int) -> Field | None:
    """Find the field of the image; None where it is the item itself."""
    if field is not None:
        return field
    if isinstance(item, Mapping):
        return _image_key(item, index)
    if isinstance(item, tuple | list):
        return _image_position(item, index)
    return None


def _image_key(item: Mapping[Any, Any], index: int) -> str:
    named = [key for key in IMAGE_COLUMNS if key in item]
    if len(named) == 1:
        return named[0]
    is_image = named or [key for key, value in item.items() if rank_as_image(value)]
    looked = "" if named else f"its image is looked for under {', '.join(IMAGE_COLUMNS)}: "
    is_vector = bool(is_image) and all(rank_as_image(item[key]) == 1 for key in is_image)
    role = "features" if is_vector else "image"
    raise InputError(
        f"sample {index} is {describe_item(item)}; {looked}pass {_choices(role, is_image)}"
    )


def _image_position(item: Sequence[Any], index: int) -> int:
    if not len(item):
        raise InputError(f"sample {index} is an empty {type(item).__name__}")
    ranks = [rank_as_image(part) for part in item]
    best = [position for position, rank in enumerate(ranks) if rank == max(ranks) and rank]
    # Of a pair the first is the image by custom, and what is with it may be another or a mask.
    if best and (best == [0] or (len(item) < 3 and ranks[0])):
        return 0
    if not best and len(item) < 3:
        return 0
    _check_no_row_of_numbers(item, index)
    raise InputError(
        f"sample {index} is {describe_item(item)}; which is the image is not sure: pass "
        f"{_choices('image', best or range(len(item)))}"
    )


def _check_no_row_of_numbers(item: Sequence[Any], index: int) -> None:
    if all(isinstance(part, int | float) for part in item):
        raise InputError(
            f"sample {index} is {describe_item(item)}; where such rows are features, pass them as "
            "an array, numpy.asarray(rows)"
        )


def _label_field(item: Any, image: Field | None, index: int) -> Field | None:
    if isinstance(item, Mapping):
        named = [key for key in LABEL_COLUMNS if key in item and key != image]
        if len(named) < 2:
            if index == 0 and named:
                tell_coarser(named[0], item)
            return named[0] if named else None
        others: Iterable[Any] = named
    elif isinstance(item, tuple | list):
        place = _place_of_image(item, image, index)
        positions = [position for position in range(len(item)) if position != place]
        if len(positions) < 2:
            return positions[0] if positions else None
        if image is None:
            _check_no_row_of_numbers(item, index)
        others = positions
    else:
        return None
    raise InputError(
        f"sample {index} is {describe_item(item)}; which is the label is not sure: pass "
        f"{_choices('label', others)}"
    )


def _place_of_image(item: Sequence[Any], image: Field | None, index: int) -> int:
    if isinstance(image, int):
        return image % len(item) if len(item) else 0
    if isinstance(image, str) and image in _names(item):
        return _names(item).index(image)
    # Who reads labels alone may have anything in place of images, such as paths.
    is_sought = image is None and any(rank_as_image(part) for part in item)
    return _image_position(item, index) if is_sought else 0


def _choices(role: str, candidates: Iterable[Any]) -> str:
    named = [f"{role}={candidate!r}" for candidate in candidates]
    shown_ones = named[:N_NAMED] + ["another"] * (len(named) > N_NAMED)
    words = " or ".join(shown_ones)
    return words or f"{role}= with a key, a position or a function of the item"


def rank_as_image(value: Any) -> int:
    """Tell how much a value is like an image: 2 has rows and columns, 1 is a vector, 0 is none."""
    if hasattr(value, "mode") and hasattr(value, "convert"):
        return 2
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "dtype"):
        return 0
    return min(len(shape), 2)


class Pairs:
    """The items of a dataset as pairs of image and label.

    Parameters
    ----------
    dataset : object
        With a length and indices.
    fields : Fields
    """

    def __init__(self, dataset: Any, fields: Fields) -> None:
        self.dataset = dataset
        self.fields = fields

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.fields.pair(self.item(index), index)

    def item(self, index: int) -> Any:
        """Give a sample as its dataset does; `InputError` where that is None."""
        item = raw_item(self.dataset, index)
        if item is None:
            # The way of many datasets to say so.
            raise InputError(
                f"sample {index} cannot be read: the dataset gives None; repair it, or leave it "
                "out with broken='skip'"
            )
        return item

    def label(self, index: int) -> Any:
        """Give the label of a sample, whatever its image is; see `Fields.label_of`."""
        return self.fields.label_of(self.item(index), index)


class FieldView:
    """A dataset with what it does not tell of itself, for whoever reads it: samplers, searches.

    Parameters
    ----------
    dataset : object
        See `Samples`.
    image, label, features, broken, distinct_labels : optional
        See `Samples`.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample import CCRandomSampling
    >>> items = [{"photo": np.zeros((8, 8)), "species": n % 2} for n in range(8)]
    >>> birds = FieldView(items, image="photo", label="species")
    >>> len(birds), birds[1][1]
    (8, 1)
    >>> CCRandomSampling(random_state=0).select(birds, r=0.5).tolist()
    [1, 2, 3, 6]
    """

    def __init__(
        self,
        dataset: Any,
        *,
        image: Field | None = None,
        label: Field | None = None,
        features: Any = None,
        broken: Broken = "stop",
        distinct_labels: bool = False,
    ) -> None:
        self.dataset = dataset
        self.fields = Fields(image, label, features)
        self.broken = check_broken(broken)
        BOOLEAN.check("distinct_labels", distinct_labels)
        self.distinct_labels = distinct_labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Give the image and the label of a sample."""
        image, label = self._pairs[index]
        return image, None if isinstance(label, Unsure) else label

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(positional(self.dataset), self.fields)

    def __repr__(self) -> str:
        named = {name: getattr(self.fields, name) for name in ("image", "label", "features")}
        words = [f"{name}={field!r:.40}" for name, field in named.items() if field is not None]
        words += ["broken='skip'"] if self.broken == "skip" else []
        words += ["distinct_labels=True"] if self.distinct_labels else []
        return f"FieldView({', '.join([shown(self.dataset), *words])})"


def check_broken(broken: object) -> Broken:
    """Give a way to treat broken samples, or an `InputError` that names those that there are."""
    for known in get_args(Broken):
        if isinstance(broken, str) and broken == known:
            found: Broken = known
            return found
    raise unknown_name("way to treat broken samples", broken, get_args(Broken))
