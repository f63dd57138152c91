"""The errors that a user of either package meets, and whose line a warning is about."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable

from proxysample.printing import cleaned, shown


class ProxysampleError(Exception):
    """Base of every error that both packages raise on purpose; its message can be shown."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(cleaned(one) if isinstance(one, str) else one for one in args))


class ProxysampleWarning(UserWarning):
    """Base of every warning that both packages give; its message can be shown."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(cleaned(one) if isinstance(one, str) else one for one in args))


class InputError(ProxysampleError, ValueError):
    """A value, file or dataset that a user gave cannot be used; the message names the fix."""


class SampleError(InputError):
    """Something is wrong with one sample, which is named by its index where the error is met.

    Who gave only some samples of a dataset, or knows the files of all, names it anew.

    Examples
    --------
    >>> error = SampleError(36, " holds NaN")
    >>> str(error), str(error.at(37, "photos/37.png"))
    ('sample 36 holds NaN', 'sample 37 (photos/37.png) holds NaN')
    """

    def __init__(self, index: int, words: str, before: str = "") -> None:
        # All of it, so that what comes from another process is the same.
        super().__init__(index, words, before)
        self.index = index
        self._words = words
        self._before = before

    def __str__(self) -> str:
        return cleaned(f"{self._before}sample {self.index}{self._words}")

    def at(self, index: int, file: str | None = None) -> SampleError:
        """Give the error with another index, and with the file of the sample."""
        named = "" if file is None or file in self._words else f" ({file})"
        return SampleError(index, named + self._words, self._before)


def reason_of(error: InputError) -> str:
    """Say why a sample cannot be read, to who names the sample and skips it.

    Examples
    --------
    >>> reason_of(SampleError(3, " holds NaN; repair it")), reason_of(InputError("no such file"))
    ('it holds NaN', 'no such file')
    """
    # Who wrapped it said no more than which sample it is of.
    while not isinstance(error, SampleError) and isinstance(error.__cause__, InputError):
        error = error.__cause__
    words = str(error)
    if isinstance(error, SampleError):
        words = str(error).replace(f"sample {error.index}", "it", 1)
    return words.partition("; repair")[0]


class MissingDependencyError(ProxysampleError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


# What others call it, where the nearest spelling says nothing.
OTHER_WORDS = {"seed": "random_state", "random_seed": "random_state", "ratio": "r", "fraction": "r"}


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Build the error for a name that is not among `known`, with the nearest one.

    Parameters
    ----------
    kind : str
        What the name stands for, such as ``"sampler"``.
    name : object
        What the user gave.
    known : iterable of str
        The names that exist.

    Returns
    -------
    InputError
        To be raised by the caller.

    Examples
    --------
    >>> unknown_name("sampler", "cc-ro", ["cc-or", "rs"])
    InputError("unknown sampler 'cc-ro'; did you mean 'cc-or'? Known: cc-or, rs")
    """
    names = list(known)
    # Of long names the search takes seconds.
    given = name.lower()[:100] if isinstance(name, str) else shown(name)
    likely, other = difflib.get_close_matches(given, names, n=1, cutoff=0.8), OTHER_WORDS.get(given)
    if not likely and other in names:
        likely = [other]
    if not likely and other is None:
        likely = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    hint = f"did you mean {likely[0]!r}? " if likely else ""
    return InputError(f"unknown {kind} {shown(name)}; {hint}Known: {', '.join(names)}")


def check_name(kind: str, name: object, known: Collection[str]) -> None:
    """Raise `InputError` where a name is none of those that are known, or no name at all.

    Examples
    --------
    >>> check_name("preset", ["paper"], {"paper": 1, "digits": 2})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown preset ['paper']; did you mean 'paper'?
    Known: paper, digits
    """
    if not isinstance(name, str) or name not in known:
        raise unknown_name(kind, name, known)


def check_names(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise `InputError` for the first name that is not known; the message suggests the nearest.

    Examples
    --------
    >>> check_names("parameter of training", {"epoch": 3}, ["epochs", "momentum"])
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown parameter of training 'epoch'; did you mean 'epochs'?
    Known: epochs, momentum
    """
    for name in given:
        if name not in known:
            raise unknown_name(what, name, known)


# Between a user's line and ours is a frame of this one where a context decorates.
OWN_MODULES = ("proxysample", "proxysample_nas", "contextlib")


def level_of_caller() -> int:
    """Count the frames up to the line of a user's that a warning is about."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in OWN_MODULES:
            break
        level, frame = level + 1, frame.f_back
    return level
