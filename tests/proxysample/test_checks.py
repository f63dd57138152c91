"""What parameters must be: each check, and that the classes' tables name what there is."""

from __future__ import annotations

import inspect
import json
import math
from typing import ClassVar

import numpy as np
import pytest

from proxysample import create_sampler, list_samplers
from proxysample.checks import (
    BOOLEAN,
    COUNT,
    DECAY_RATE,
    DECAY_RATES,
    DEVICE,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    RANDOM_STATE,
    SEED,
    as_array,
    as_tuple,
    check_values,
    constraints_of,
    instance_of,
    integer_from,
    one_of,
)
from proxysample.data.labels import check_labels
from proxysample.digests import as_plain
from proxysample.errors import InputError
from proxysample.keeping import check_count, check_ratio
from proxysample.sampler import plain_parameters
from proxysample.selection import as_mask

NO_NUMBERS = [True, np.True_, "3", None, [3], (), 1j, math.nan, math.inf, -math.inf, np.nan]


@pytest.mark.parametrize(
    ("constraint", "accepted", "refused"),
    [
        (
            POSITIVE_INTEGER,
            [1, 2**63 - 1, np.int64(3), np.uint8(1)],
            [0, -1, 1.0, np.float32(2), 2**63],
        ),
        (COUNT, [0, np.int8(0)], [-1, np.int64(-1), 0.0, 10**30, 10**5000, np.timedelta64(1, "s")]),
        (integer_from(2), [2, np.int32(2)], [1, np.int32(1)]),
        (POSITIVE, [1, 0.5, np.float32(0.5), np.int64(2)], [0, 0.0, -1, np.float32(0)]),
        (NOT_NEGATIVE, [0, 0.0, np.float64(0)], [-1, -0.5, np.float32(-1)]),
        (FRACTION, [0.5, np.float32(0.5)], [0, 1, 1.0, -0.5, np.int64(1)]),
        (DECAY_RATE, [0, 0.99, np.float32(0.5)], [1, 1.0, -0.1]),
        (SEED, [0, 2**63 - 1, np.uint64(7)], [-1, 2**63, 1.0, np.uint64(2**63)]),
    ],
    ids=lambda given: getattr(given, "words", [""])[0],
)
def test_numbers(constraint, accepted, refused):
    for value in accepted:
        constraint.check("size", value)
        constraint.or_none().check("size", value)
    constraint.or_none().check("size", None)
    for value in [*refused, *NO_NUMBERS]:
        with pytest.raises(InputError, match=r"^size must be .*, not "):
            constraint.check("size", value)


@pytest.mark.parametrize(
    ("constraint", "accepted", "refused"),
    [
        (BOOLEAN, [True, False], [0, 1, "no", None, np.True_]),
        (BOOLEAN.or_none(), [True, False, None], [0, "None"]),
        (DECAY_RATES, [(0, 0.999), [0.5, np.float32(0.5)]], [0.5, (0.5,), (0.5, 1), "ab", None]),
        (RANDOM_STATE, [None, 0, 2**80, np.int64(3)], [-1, 0.5, "seven", True]),
        (RANDOM_STATE, [np.random.default_rng(0)], [np.random]),
        (DEVICE, ["auto", "cpu", "cuda:1", 0, np.int64(0)], ["gpu", "mps", True, None, 0.5]),
        (instance_of(OSError), [FileNotFoundError()], [None, OSError, ValueError()]),
    ],
)
def test_other_kinds(constraint, accepted, refused):
    for value in accepted:
        constraint.check("given", value)
    for value in refused:
        with pytest.raises(InputError, match=r"^given must be .*, not "):
            constraint.check("given", value)


def test_a_name_that_is_not_known_is_told_the_nearest():
    loss = one_of("loss", ("mse", "bce"))
    loss.check("loss", "bce")
    with pytest.raises(InputError, match="unknown loss 'mze'; did you mean 'mse'"):
        loss.check("loss", "mze")
    for value in (None, ["mse"], {"mse"}, 3):
        with pytest.raises(InputError, match="unknown loss"):
            loss.check("loss", value)


def test_a_long_value_is_cut():
    with pytest.raises(InputError) as caught:
        COUNT.with_hint("lower it").check("size", "x" * 1000)
    assert len(str(caught.value)) < 200
    assert str(caught.value).endswith("; lower it")


def test_values_that_are_missing_are_passed_over_and_others_not_looked_at():
    check_values({"other": None}, {"size": COUNT})


class Base:
    _constraints: ClassVar = {"size": POSITIVE_INTEGER, "flip": BOOLEAN}


class Derived(Base):
    _constraints: ClassVar = {"size": COUNT}


def test_a_class_has_the_constraints_of_its_bases_and_may_change_them():
    assert constraints_of(Derived) == {"size": COUNT, "flip": BOOLEAN}
    assert constraints_of(Base)["size"] is POSITIVE_INTEGER


@pytest.mark.parametrize("name", list_samplers())
def test_constraints_are_of_parameters_that_there_are(name):
    kind = type(create_sampler(name))
    own = vars(kind).get("_constraints", {})
    assert own.keys() <= inspect.signature(kind).parameters.keys()
    create_sampler(name).check_parameters()


def test_numbers_of_numpy_are_plain_in_what_a_sampler_tells():
    sampler = create_sampler("km-or", n_clusters=np.int64(7), random_state=np.uint8(3))
    sampler.check_parameters()
    told = json.loads(json.dumps(plain_parameters(sampler)))
    assert (told["n_clusters"], told["random_state"]) == (7, 3)


def within_itself():
    found = []
    found.append(found)
    return found


class Untold:
    def __repr__(self):
        raise RuntimeError

    def __len__(self):
        return 3

    def __getitem__(self, index):
        raise RuntimeError


def failing():
    yield 1
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: COUNT.check("epoch", -(10**5000)), "of at least 0, not a value of type int$"),
        (lambda: check_ratio(10**400), r"must be in \(0, 1\], not 1000"),
        (lambda: check_count(10**5000), "more samples than any dataset has"),
        (lambda: as_mask([[1], [1, 2]], 4, "exclude"), "exclude cannot be read as an array"),
        (lambda: as_mask(within_itself(), 4, "exclude"), "exclude cannot be read as an array"),
        (lambda: as_mask(failing(), 4, "exclude"), "exclude must be a list"),
        (lambda: check_labels([10**5000] * 3, 3), "run to a value of type int, which is no class"),
        (lambda: check_labels(Untold(), 3), "labels are a value of type Untold, which is no list"),
        (lambda: as_plain(within_itself(), "weights"), "nests too deeply, or holds itself"),
        (lambda: as_plain({"a": Untold()}, "weights"), r"weights\['a'\] is a value of type Untold"),
    ],
)
def test_what_numpy_and_python_cannot_read_or_write_is_refused(refused, message):
    with pytest.raises(InputError, match=message):
        refused()


def test_the_length_of_a_list_is_looked_at_before_its_entries():
    endless = np.broadcast_to(np.float32(0), (10**12, 3))
    with pytest.raises(InputError, match=r"std is .* more than 16,777,216 entries"):
        as_tuple("std", endless)


def test_a_seed_within_lists_is_refused_before_numpy_follows_them():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    # Others NumPy would read for hours.
    for seed in (nested, range(10**12), np.zeros(10**7, int), 1 << 10**7, [1 << 10**7], b"", b"a"):
        with pytest.raises(InputError, match="random_state"):
            create_sampler("rs", random_state=seed).check_parameters()
    create_sampler("rs", random_state=[1, 2]).check_parameters()


@pytest.mark.parametrize("dtype", [None, float])
def test_masked_values_are_no_values(dtype):
    scores = np.ma.array([0.5, 2.0, 1.0], mask=[0, 1, 0])
    with pytest.raises(InputError, match=r"masked values; fill them, such as scores.filled\(0\)"):
        as_array("scores", scores, dtype)
    assert as_array("scores", np.ma.array([0.5, 2.0]), dtype).tolist() == [0.5, 2.0]
