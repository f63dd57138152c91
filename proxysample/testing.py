"""Checks that every sampler passes, for ours and for those of others.

A check is a function that takes a sampler and a small labelled dataset, and raises an
`AssertionError` with the reason where the sampler breaks a promise of the library. Run all by
`check_sampler`, or one by one under pytest:

    @pytest.mark.parametrize("check", sampler_checks(), ids=lambda check: check.__name__)
    def test_my_sampler(check):
        check(MySampler(random_state=0), small_digits())
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import clone

from proxysample.data.datasets import ArrayDataset, load_dataset
from proxysample.errors import InputError
from proxysample.keeping import as_rule
from proxysample.ranking import NotNestedWarning
from proxysample.sampler import Sampler
from proxysample.selection import LostClassesWarning
from proxysample.shares import class_sequence

Check = Callable[[Sampler, ArrayDataset], None]
_UNLIKELY_SEED = 1_717_171_717
MOST_TIES = 0.1
RATIOS = (0.1, 0.25, 0.33, 0.5, 0.77, 1.0)


def small_digits(n_samples: int = 240) -> ArrayDataset:
    """Give real 8x8 images of ten classes, few enough for quick checks.

    Parameters
    ----------
    n_samples : int
        At most 1,437.

    Returns
    -------
    ArrayDataset
        With labels.

    Examples
    --------
    >>> small_digits()
    ArrayDataset(240 samples of 8x8x1, 10 classes)
    """
    train = load_dataset("digits").train
    assert train.targets is not None  # the digits are labelled
    return ArrayDataset(train.images[:n_samples], train.targets[:n_samples])


def check_sampler(sampler: Sampler, dataset: ArrayDataset | None = None) -> None:
    """Check that a sampler keeps the promises of the library.

    Parameters
    ----------
    sampler : Sampler
        Made to be quick on a few hundred samples, and seeded where it draws.
    dataset : ArrayDataset, optional
        Labelled; `small_digits` by default.

    Raises
    ------
    AssertionError
        If a promise is broken; the message says how, a note which. What a sampler itself raises
        has the same note.

    Examples
    --------
    >>> from proxysample import RandomSampling
    >>> check_sampler(RandomSampling(random_state=0))
    """
    data = small_digits() if dataset is None else dataset
    _assert_parameters_are_stored(sampler)
    for check in sampler_checks():
        try:
            check(clone(sampler), data)
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


def sampler_checks() -> list[Check]:
    """List the checks.

    Returns
    -------
    list of callable
        Each takes a fresh sampler and a labelled dataset.
    """
    checks = [
        check_parameters_are_only_stored,
        check_indices,
        check_kept_sets_nest,
        check_class_shares,
        # Before the comparisons of runs, which would show the same less plainly.
        check_global_generators_are_left_alone,
        check_fit_changes_nothing_it_was_given,
        check_runs_agree,
        check_order_of_rows_does_not_matter,
        check_fit_sets_what_it_learned,
        check_guises_of_a_dataset_agree,
        check_decoding_does_not_matter,
        check_labels_are_asked_for,
        check_nothing_else_is_read,
        check_bad_ratios_are_refused_first,
        check_pixels_that_are_not_finite_are_refused,
        check_both_directions,
    ]
    return [_whatever_classes_are_lost(check) for check in checks]


def _whatever_classes_are_lost(check: Check) -> Check:
    """Quieten the warning of classes that small kept sets lose; a check is of other things."""

    @wraps(check)
    def quiet(sampler: Sampler, dataset: ArrayDataset) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LostClassesWarning)
            warnings.simplefilter("ignore", NotNestedWarning)
            check(sampler, dataset)

    return quiet


def check_parameters_are_only_stored(sampler: Sampler, dataset: ArrayDataset) -> None:  # noqa: ARG001
    """``__init__`` stores its parameters as they are, and nothing else (scikit-learn)."""
    _assert_parameters_are_stored(sampler)
    parameters = sampler.get_params(deep=False)
    copy = clone(sampler)
    for name, value in parameters.items():
        found = getattr(copy, name)
        same = found is value or repr(found) == repr(value)
        assert same, f"{name}={value!r} became {found!r} in a clone"
    learned = [name for name in vars(copy) if name.endswith("_")]
    assert not learned, f"__init__ sets {learned}, which only fit may"
    assert type(sampler).__name__ in repr(sampler), f"repr is {sampler!r}"


def _assert_parameters_are_stored(sampler: Sampler) -> None:
    for name in sampler._get_param_names():
        assert hasattr(sampler, name), f"__init__ takes {name!r} and does not store self.{name}"


def check_indices(sampler: Sampler, dataset: ArrayDataset) -> None:
    """Indices are int64, ascending, unique, in range and of the exact number."""
    for r, indices in sampler.select_many(dataset, ratios_of(sampler, len(dataset))).items():
        assert indices.dtype == np.int64, f"indices are {indices.dtype}"
        assert np.all(np.diff(indices) > 0), "indices are not ascending and unique"
        assert indices[0] >= 0, "an index is negative"
        assert indices[-1] < len(dataset), "an index points outside"
        if sampler.ranking_.rounding == "exact":
            expected = round(r * len(dataset))
            assert len(indices) == expected, f"r={r} keeps {len(indices)}, not {expected}"


def check_kept_sets_nest(sampler: Sampler, dataset: ArrayDataset) -> None:
    """A smaller set is part of a larger one, unless the keeping rule says otherwise."""
    ratios = ratios_of(sampler, len(dataset))
    kept = [set(indices.tolist()) for indices in sampler.select_many(dataset, ratios).values()]
    if not sampler.ranking_.nested:
        return
    assert all(small <= large for small, large in pairwise(kept)), "kept sets do not nest"


def check_class_shares(sampler: Sampler, dataset: ArrayDataset) -> None:
    """A class-conditional sampler keeps each class within one sample of its share."""
    if sampler.per_class is False or _paper(sampler):
        return
    targets = np.asarray(dataset.targets)
    _, codes = np.unique(targets, return_inverse=True)
    sizes = np.bincount(codes)
    for r, indices in sampler.select_many(dataset, ratios_of(sampler, len(dataset))).items():
        kept = np.bincount(codes[indices], minlength=len(sizes))
        dealt = np.bincount(class_sequence(sizes)[: len(indices)], minlength=len(sizes))
        assert kept.tolist() == dealt.tolist(), f"r={r} keeps {kept} of classes of {sizes}"


def check_runs_agree(sampler: Sampler, dataset: ArrayDataset) -> None:
    """The same sampler, and a clone of it, select the same again."""
    first = sampler.select(dataset, 0.3)
    cause = "draw from a generator of random_state alone, and keep nothing of an earlier run"
    assert np.array_equal(first, sampler.select(dataset, 0.3)), f"a second run differs: {cause}"
    copy = clone(sampler)
    assert np.array_equal(first, copy.select(dataset, 0.3)), f"a clone's run differs: {cause}"


def check_order_of_rows_does_not_matter(sampler: Sampler, dataset: ArrayDataset) -> None:
    """Where nothing is drawn, what is kept moves with the samples, but for a few ties."""
    draws = "random_state" in sampler.get_params(deep=False)
    if draws or hasattr(as_rule(sampler._keep()), "seed"):
        return
    order = np.random.default_rng(0).permutation(len(dataset))
    targets = np.asarray(dataset.targets)
    expected = sampler.select(dataset, 0.3)
    moved = order[clone(sampler).select(dataset.images[order], 0.3, y=targets[order])]
    gone, come = np.setdiff1d(expected, moved), np.setdiff1d(moved, expected)
    # Greedy orders have ties of which the scores say nothing.
    assert len(gone) <= MOST_TIES * len(expected), (
        f"samples {gone[:5]} are kept, and {come[:5]} in their place where the rows are in another "
        "order"
    )


def check_fit_changes_nothing_it_was_given(sampler: Sampler, dataset: ArrayDataset) -> None:
    """Neither parameters nor data change in `fit`."""
    before = {name: repr(value) for name, value in sampler.get_params(deep=False).items()}
    images = dataset.images.copy()
    sampler.fit(dataset)
    after = {name: repr(value) for name, value in sampler.get_params(deep=False).items()}
    assert after == before, "fit changed a parameter"
    assert np.array_equal(dataset.images, images), "fit changed the images"


def check_fit_sets_what_it_learned(sampler: Sampler, dataset: ArrayDataset) -> None:
    """`fit` returns the sampler with `ranking_`, `scores_` and `n_samples_`."""
    assert sampler.fit(dataset) is sampler, "fit does not return the sampler"
    assert sampler.n_samples_ == len(dataset), f"n_samples_ is {sampler.n_samples_}"
    assert sampler.scores_.shape == (len(dataset),), f"scores_ have shape {sampler.scores_.shape}"
    assert np.isfinite(sampler.scores_).all(), "a score is not finite"
    assert np.array_equal(sampler.ranking_.select(0.2), sampler.select(dataset, 0.2)), (
        "select does not cut the ranking"
    )


def check_guises_of_a_dataset_agree(sampler: Sampler, dataset: ArrayDataset) -> None:
    """An array with labels, a Subset and string labels select the same."""
    from torch.utils.data import Subset

    images, targets = dataset.images, np.asarray(dataset.targets)
    expected = sampler.select(images, 0.3, y=targets)
    whole: Any = Subset(dataset, range(len(dataset)))  # type: ignore[arg-type]
    assert np.array_equal(sampler.select(whole, 0.3), expected), "a Subset selects otherwise"
    names = np.array([f"class {label:03}" for label in targets])
    assert np.array_equal(sampler.select(images, 0.3, y=names), expected), (
        "labels of strings select otherwise than integers of the same order"
    )


def ratios_of(sampler: Sampler, n_samples: int) -> list[float]:
    """List the ratios of the checks, but for those that the keeping rule refuses."""
    rule = as_rule(sampler._keep())
    found = []
    for r in RATIOS:
        try:
            rule.check_size(n_samples, round(r * n_samples))
        except InputError:
            continue
        found.append(r)
    return found


class _Items:
    """A dataset that has nothing but items, and counts them."""

    def __init__(self, dataset: ArrayDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.dataset[index]


def check_decoding_does_not_matter(sampler: Sampler, dataset: ArrayDataset) -> None:
    """Batch size and number of workers of decoding change nothing."""
    parameters = sampler.get_params(deep=False)
    if "num_workers" not in parameters:
        return
    items = _Items(dataset)
    expected = sampler.select(items, 0.3)
    other = clone(sampler).set_params(num_workers=2)
    assert np.array_equal(other.select(items, 0.3), expected), "num_workers=2 selects otherwise"


def check_labels_are_asked_for(sampler: Sampler, dataset: ArrayDataset) -> None:
    """A sampler that needs labels says so, and others do without."""
    try:
        sampler.select(dataset.images, 0.5)
    except InputError as error:
        asks = sampler.needs_labels or sampler.per_class
        assert asks, f"needs_labels is not set, but: {error}"
        assert "labels" in str(error), f"the error does not name the labels: {error}"
    else:
        assert not sampler.needs_labels, "needs_labels is set, but it does without"


class _Unreadable:
    """A dataset of which no item can be read, and whose labels are no classes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.targets: list[Any] = [{"boxes": []}] * size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        raise OSError(f"item {index} is broken")


def check_nothing_else_is_read(sampler: Sampler, dataset: ArrayDataset) -> None:
    """What is not in its `reads` and `needs_labels` is neither read nor checked."""
    if sampler.reads in ("pixels", "features"):
        return
    labels = dataset.targets if sampler.needs_labels else None
    expected = sampler.select(dataset.images, 0.3, y=labels)
    try:
        found = sampler.select(_Unreadable(len(dataset)), 0.3, y=labels)
    except Exception as error:
        raise AssertionError(
            f"reads is {sampler.reads!r}, but a dataset that cannot be read stops it: {error}"
        ) from error
    assert np.array_equal(found, expected), "it selects otherwise where nothing can be read"


def check_bad_ratios_are_refused_first(sampler: Sampler, dataset: ArrayDataset) -> None:  # noqa: ARG001
    """A ratio outside (0, 1] is an `InputError` before the data are touched."""
    bad: list[Any] = [0, 1.5, float("nan"), "half"]
    for r in bad:
        _assert_refused(partial(sampler.select, object(), r), "(0, 1]", f"r={r!r}")


def check_pixels_that_are_not_finite_are_refused(sampler: Sampler, dataset: ArrayDataset) -> None:
    """NaN in an image is an `InputError` that names the sample, where pixels are read."""
    sampler.fit(dataset)
    if sampler.ranking_.provenance["dataset"]["pixels"] is None:
        return
    images = dataset.images.astype(np.float32) / 255
    images[3].flat[0] = np.nan
    _assert_refused(
        lambda: sampler.select(images, 0.5, y=dataset.targets), "sample 3", "NaN in sample 3"
    )


def check_both_directions(sampler: Sampler, dataset: ArrayDataset) -> None:
    """``keep="hard"`` keeps the other end of the same scores."""
    if "keep" not in sampler.get_params(deep=False):
        return
    easy = clone(sampler).set_params(keep="easy").fit(dataset)
    hard = clone(sampler).set_params(keep="hard").fit(dataset)
    assert np.array_equal(easy.scores_, hard.scores_), "keep changes the scores"
    means = [s.scores_[s.ranking_.select(0.3)].mean() for s in (easy, hard)]
    assert means[0] < means[1], "keep='hard' does not keep higher scores than keep='easy'"
    _assert_refused(
        lambda: clone(sampler).set_params(keep="hardest").select(object(), 0.5),
        "hard",
        "keep='hardest'",
    )


def check_global_generators_are_left_alone(sampler: Sampler, dataset: ArrayDataset) -> None:
    """Neither numpy's nor torch's global generator is seeded or drawn from."""
    with global_generators_unused():
        sampler.select(dataset, 0.3)


@contextmanager
def global_generators_unused() -> Iterator[None]:
    """Check that neither numpy's nor torch's global generator is seeded or drawn from in here."""
    import torch

    numpys = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        # States that nobody would seed to, so that seeding shows like drawing.
        np.random.seed(_UNLIKELY_SEED)  # noqa: NPY002
        torch.manual_seed(_UNLIKELY_SEED)
        before = repr(np.random.get_state()), torch.random.get_rng_state()  # noqa: NPY002
        yield
        after = repr(np.random.get_state()), torch.random.get_rng_state()  # noqa: NPY002
    np.random.set_state(numpys)  # noqa: NPY002
    assert before[0] == after[0], "numpy's global generator was used"
    assert torch.equal(before[1], after[1]), "torch's global generator was used"


def _paper(sampler: Sampler) -> bool:
    return bool(sampler.get_params(deep=False).get("protocol") == "paper")


def _assert_refused(call: Callable[[], object], words: str, what: str) -> None:
    try:
        call()
    except InputError as error:
        assert words in str(error), f"the error for {what} does not say {words!r}: {error}"
    else:
        raise AssertionError(f"{what} is not refused")
