"""Checks that every searcher passes, for ours and for those of others.

A check is a function that takes a searcher and a small labelled dataset, and raises an
`AssertionError` with the reason where the searcher breaks a promise of the library. Run all by
`check_searcher`, or one by one under pytest:

    @pytest.mark.parametrize("check", searcher_checks(), ids=lambda check: check.__name__)
    def test_my_searcher(check):
        check(MySearcher(n_nodes=3, channels=2, epochs=2, random_state=0), small_digits(120))
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from sklearn.base import clone

from proxysample.data.datasets import ArrayDataset
from proxysample.errors import InputError
from proxysample.testing import global_generators_unused, small_digits
from proxysample_nas.searchers.base import Searcher
from proxysample_nas.searchers.checkpoint import Checkpoint
from proxysample_nas.searchers.remedies import SearchCollapseWarning
from proxysample_nas.searchers.result import EpochRecord, SearchResult

Check = Callable[[Searcher, ArrayDataset], None]

_BAD: dict[str, tuple[object, ...]] = {
    "n_nodes": (1,),
    "channels": (-2,),
    "epochs": (0,),
    "batch_size": (1.5,),
    "architecture_fraction": (1.0,),
    "random_state": (-1, "seven"),
    "device": ("gpu",),
    "progress": ("no",),
}
"""Values that cannot work, of parameters that many searchers have."""


def check_searcher(searcher: Searcher, dataset: ArrayDataset | None = None) -> None:
    """Check that a searcher keeps the promises of the library.

    Parameters
    ----------
    searcher : Searcher
        Made to be quick on a hundred samples, of two or three epochs, and seeded.
    dataset : ArrayDataset, optional
        Labelled; 120 digits by default. Its second half serves as validation data, too.

    Raises
    ------
    AssertionError
        If a promise is broken; the message says how, a note which. What a searcher itself raises
        has the same note.

    Examples
    --------
    >>> from proxysample_nas.searchers import RandomSearch
    >>> check_searcher(
    ...     RandomSearch(n_nodes=3, channels=1, cells_per_stage=1, n_samples=2, epochs=1,
    ...                  random_state=0, progress=False)
    ... )
    """
    data = small_digits(120) if dataset is None else dataset
    _assert_parameters_are_stored(searcher)
    for check in searcher_checks():
        try:
            check(clone(searcher), data)
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


def searcher_checks() -> list[Check]:
    """List the checks.

    Returns
    -------
    list of callable
        Each takes a fresh searcher and a labelled dataset.
    """
    return [
        check_parameters_are_only_stored,
        check_bad_parameters_are_refused_first,
        check_work_can_be_counted,
        # Before the comparisons of searches, which would show the same less plainly.
        check_global_generators_are_left_alone,
        check_search_changes_nothing_it_was_given,
        check_searches_agree,
        check_a_fresh_seed_is_told,
        check_the_result_tells_what_was_done,
        check_validation_data_choose_the_architecture,
        check_classes_can_be_named,
        check_labels_can_be_given_beside_images,
        check_progress_can_be_turned_off,
        check_interruptions_change_nothing,
        check_checkpoints_of_other_searches_are_refused,
    ]


def check_parameters_are_only_stored(searcher: Searcher, dataset: ArrayDataset) -> None:  # noqa: ARG001
    """``__init__`` stores its parameters as they are, and they can be written as JSON."""
    _assert_parameters_are_stored(searcher)
    copy = clone(searcher)
    for name, value in searcher.get_params(deep=False).items():
        found = getattr(copy, name)
        same = found is value or repr(found) == repr(value)
        assert same, f"{name}={value!r} became {found!r} in a clone"
    assert type(searcher).__name__ in repr(searcher), f"repr is {searcher!r}"
    assert isinstance(searcher.id, str), f"the id is {searcher.id!r}, not a text"
    assert searcher.id, "the id is empty"
    try:
        json.dumps(searcher.parameters_as_json())
    except (TypeError, ValueError) as error:
        raise AssertionError(f"parameters_as_json gives no plain JSON: {error}") from error


def _assert_parameters_are_stored(searcher: Searcher) -> None:
    for name in searcher._get_param_names():
        assert hasattr(searcher, name), f"__init__ takes {name!r} and does not store self.{name}"


def check_bad_parameters_are_refused_first(searcher: Searcher, dataset: ArrayDataset) -> None:  # noqa: ARG001
    """A parameter that cannot work is an `InputError` that names it, before data are read."""
    searcher.check_parameters()
    nonsense = object()
    for name, usual in searcher.get_params(deep=False).items():
        # A searcher that trains nothing has no epochs.
        bad = tuple(one for one in _BAD.get(name, ()) if one != usual)
        for value in (*bad, nonsense):
            what = f"{name}={value!r}"
            changed = clone(searcher).set_params(**{name: value})
            _assert_refused(changed.check_parameters, name, f"{what} in check_parameters")
            _assert_refused(partial(changed.search, nonsense), name, what)


def check_work_can_be_counted(searcher: Searcher, dataset: ArrayDataset) -> None:  # noqa: ARG001
    """What a search does is counted, and a short one can be made longer in each kind of it."""
    whole = searcher.work(100, 50)
    assert whole, "work counts nothing"
    for kind, count in whole.items():
        assert count >= 0, f"work counts {count} of {kind!r}"
    assert sum(whole.values()) > 0, f"work counts nothing: {whole}"
    shortened = searcher.shortened()
    least = shortened.work(100, 50)
    assert sum(least.values()) <= sum(whole.values()), f"shortened does more: {least}, not {whole}"
    runs = [least]
    for one in searcher.lengthenings():
        runs.append(one.apply(shortened, 2).work(100, 50))
        assert sum(runs[-1].values()) > sum(least.values()), f"{one} makes a short search no longer"
    shown = {kind for run in runs for kind, count in run.items() if count}
    missing = {kind for kind, count in whole.items() if count} - shown
    assert not missing, f"no short search does {', '.join(sorted(missing))}"


def check_global_generators_are_left_alone(searcher: Searcher, dataset: ArrayDataset) -> None:
    """Neither numpy's nor torch's global generator is seeded or drawn from."""
    with global_generators_unused():
        _search(searcher, dataset)


def check_search_changes_nothing_it_was_given(searcher: Searcher, dataset: ArrayDataset) -> None:
    """Neither parameters nor data change in `search`."""
    before = {name: repr(value) for name, value in searcher.get_params(deep=False).items()}
    images, targets = dataset.images.copy(), np.asarray(dataset.targets).copy()
    _search(searcher, dataset)
    after = {name: repr(value) for name, value in searcher.get_params(deep=False).items()}
    assert after == before, "search changed a parameter"
    assert np.array_equal(dataset.images, images), "search changed the images"
    assert np.array_equal(np.asarray(dataset.targets), targets), "search changed the labels"


def check_searches_agree(searcher: Searcher, dataset: ArrayDataset) -> None:
    """A searcher and a clone of it find the same again; with another seed they find another."""
    first = without_times(_search(searcher, dataset))
    cause = "draw from streams of the seed alone, and keep nothing of an earlier search"
    assert without_times(_search(searcher, dataset)) == first, f"a second search differs: {cause}"
    copy = clone(searcher)
    assert without_times(_search(copy, dataset)) == first, f"a clone's search differs: {cause}"
    if _has(searcher, "random_state"):
        copy.set_params(random_state=_other_seed(searcher))
        other = without_times(_search(copy, dataset))
        told = other.history, other.final_choice
        assert told != (first.history, first.final_choice), "random_state changes nothing"


def check_a_fresh_seed_is_told(searcher: Searcher, dataset: ArrayDataset) -> None:
    """``random_state=None`` takes a fresh seed, and the result tells which."""
    if not _has(searcher, "random_state"):
        return
    result = _search(clone(searcher).set_params(random_state=None), dataset)
    again = _search(clone(searcher).set_params(random_state=result.info.seed), dataset)
    same = without_times(again).history == without_times(result).history
    assert same, f"the seed that is told, {result.info.seed}, does not repeat the search"


def check_the_result_tells_what_was_done(searcher: Searcher, dataset: ArrayDataset) -> None:
    """The result says how it came about, and survives being written as JSON."""
    result = _search(searcher, dataset)
    info = result.info
    assert info.searcher == searcher.id, f"the result is of {info.searcher!r}"
    assert info.parameters == searcher.parameters_as_json(), "the result has other parameters"
    if _has(searcher, "random_state"):
        seed = searcher.get_params(deep=False)["random_state"]
        assert info.seed == seed, f"the seed told is {info.seed}"
    n_samples = info.n_weight_samples + info.n_architecture_samples
    assert n_samples == len(dataset), f"the result tells of {n_samples} samples of {len(dataset)}"
    assert info.n_classes == len(np.unique(np.asarray(dataset.targets)))
    epochs = [record.epoch for record in result.history]
    assert epochs == list(range(len(epochs))), f"the epochs of the history are {epochs}"
    for record in result.history:
        _assert_record(record)
    if _has(searcher, "n_nodes"):
        assert result.cell.n_nodes == searcher.get_params(deep=False)["n_nodes"]
    read = SearchResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert read == result, "a result that was written is read as another"


def _assert_record(record: EpochRecord) -> None:
    where = f"in epoch {record.epoch}"
    assert np.isfinite(record.train_loss), f"the loss is {record.train_loss} {where}"
    assert record.seconds > 0, f"no time has passed {where}"
    for accuracy in (record.train_accuracy, record.architecture_accuracy):
        assert 0 <= accuracy <= 100, f"an accuracy is {accuracy} percent {where}"
    if record.architecture_weights:
        rows = np.array(record.architecture_weights)
        assert len(rows) == len(record.cell.operations), f"{len(rows)} edges have weights {where}"
        assert np.allclose(rows.sum(axis=1), 1, atol=1e-4), f"weights do not sum to 1 {where}"


def check_validation_data_choose_the_architecture(
    searcher: Searcher, dataset: ArrayDataset
) -> None:
    """Where validation data are given, all training data train the weights."""
    train, validation = _halves(dataset)
    info = _search(searcher, train, validation).info
    assert info.architecture_source == "validation", f"it says {info.architecture_source!r}"
    found = info.n_weight_samples, info.n_architecture_samples
    assert found == (len(train), len(validation)), f"the parts hold {found} samples"


def check_classes_can_be_named(searcher: Searcher, dataset: ArrayDataset) -> None:
    """A class that a proxy lacks is known where ``classes`` names it."""
    targets = np.asarray(dataset.targets)
    known = np.unique(targets)
    kept = targets != known[-1]
    proxy = ArrayDataset(dataset.images[kept], targets[kept])
    n_classes = _search(searcher, proxy, classes=known.tolist()).info.n_classes
    assert n_classes == len(known), f"{n_classes} classes are known of {len(known)}"


def check_labels_can_be_given_beside_images(searcher: Searcher, dataset: ArrayDataset) -> None:
    """An array with labels in ``y`` is searched on as a dataset is."""
    beside = _search(searcher, dataset.images, y=np.asarray(dataset.targets))
    together = _search(searcher, dataset)
    assert without_times(beside) == without_times(together), "labels in y search otherwise"


def check_progress_can_be_turned_off(searcher: Searcher, dataset: ArrayDataset) -> None:
    """``progress=False`` prints nothing."""
    if not _has(searcher, "progress"):
        return
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        _search(clone(searcher).set_params(progress=False), dataset)
    assert not printed.getvalue(), f"progress=False prints {printed.getvalue()!r:.200}"


class _InterruptedSearchError(Exception):
    """Stands for whatever ends a process."""


def check_interruptions_change_nothing(searcher: Searcher, dataset: ArrayDataset) -> None:
    """A search that is taken up from its checkpoint, after any epoch, ends with the same bits."""
    train, validation = _halves(dataset)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "whole.safetensors"
        with _saving() as saved:
            whole = _search(searcher, train, validation, checkpoint=path)
        assert path.is_file(), "checkpoint= names a file that the search does not write"
        again = _search(searcher, train, validation, checkpoint=path)
        assert again == whole, "a finished search is not read from its checkpoint, but run again"
        for n_saved in range(1, len(saved) + 1):
            part = Path(folder) / f"{n_saved}.safetensors"
            try:
                with _saving(n_saved):
                    _search(searcher, train, validation, checkpoint=part)
            except _InterruptedSearchError:
                pass
            resumed = _search(clone(searcher), train, validation, checkpoint=part)
            assert without_times(resumed) == without_times(whole), (
                f"taken up after {saved[n_saved - 1]}, the search ends otherwise: the state has to "
                "keep all that changes, generators included"
            )


@contextmanager
def _saving(n_most: int | None = None) -> Iterator[list[str]]:
    """List what checkpoints are written after, and fail after so many of them."""
    written: list[str] = []
    save = Checkpoint.save

    def counted(self: Checkpoint, path: Path) -> None:
        save(self, path)
        done = f"epoch {len(self.history)}"
        written.append(done if self.final_choice is None else f"the choice after {done}")
        if len(written) == n_most:
            raise _InterruptedSearchError

    with mock.patch.object(Checkpoint, "save", counted):
        yield written


def check_checkpoints_of_other_searches_are_refused(
    searcher: Searcher, dataset: ArrayDataset
) -> None:
    """A checkpoint of other parameters or other data is an `InputError`."""
    train, other = _halves(dataset)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.safetensors"
        _search(searcher, train, checkpoint=path)
        _assert_refused(
            lambda: _search(searcher, other, checkpoint=path), "data", "a checkpoint of other data"
        )
        if _has(searcher, "random_state"):
            changed = clone(searcher).set_params(random_state=_other_seed(searcher))
            _assert_refused(
                lambda: _search(changed, train, checkpoint=path),
                "random_state",
                "a checkpoint of another random_state",
            )


def without_times(result: SearchResult) -> SearchResult:
    """Give a result as it would be had it taken no time, so that two can be compared."""
    choice = result.final_choice
    if choice is not None:
        decisions = tuple(replace(one, seconds=0.0) for one in choice.decisions)
        choice = replace(choice, seconds=0.0, decisions=decisions)
    history = tuple(replace(record, seconds=0.0) for record in result.history)
    return replace(result, history=history, final_choice=choice)


def _search(searcher: Searcher, *given: Any, **named: Any) -> SearchResult:
    with warnings.catch_warnings():
        # So small a search may well end with a useless cell; that is not the subject here.
        warnings.simplefilter("ignore", SearchCollapseWarning)
        return searcher.search(*given, **named)


def _halves(dataset: ArrayDataset) -> tuple[ArrayDataset, ArrayDataset]:
    targets = np.asarray(dataset.targets)
    # Class by class, so that both halves have every class.
    order = np.argsort(targets, kind="stable")
    return tuple(  # type: ignore[return-value]
        ArrayDataset(dataset.images[rows], targets[rows])
        for rows in (np.sort(order[::2]), np.sort(order[1::2]))
    )


def _has(searcher: Searcher, name: str) -> bool:
    return name in searcher.get_params(deep=False)


def _other_seed(searcher: Searcher) -> int:
    seed = searcher.get_params(deep=False)["random_state"]
    assert seed is not None, "pass a seeded searcher, such as random_state=0"
    return int(seed) + 1


def _assert_refused(call: Callable[[], object], words: str, what: str) -> None:
    try:
        call()
    except InputError as error:
        assert words in str(error), f"the error for {what} does not say {words!r}: {error}"
    except Exception as error:
        raise AssertionError(
            f"{what} is {type(error).__name__} ({error}), not an InputError"
        ) from error
    else:
        raise AssertionError(f"{what} is not refused")
