"""What the hooks of all frameworks share: their base classes, and what a batch lacks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from proxysample.errors import (
    InputError,
    MissingDependencyError,
    ProxysampleWarning,
    level_of_caller,
)
from proxysample.printing import shown

if TYPE_CHECKING:
    from proxysample.dynamics.recorder import DynamicsRecorder, RecordProtocol


def callback_class(cls: type, modules: Sequence[str], base: str) -> type:
    """Give `cls` as a subclass of a framework's callback too.

    A framework comes by several names, whose classes are not the same: those that are imported
    already are the user's, and where none is, all that are installed.
    """
    names = [name for name in modules if name in sys.modules]
    names = names or [name for name in modules if find_spec(name.partition(".")[0]) is not None]
    if not names:
        packages = " or ".join(name.partition(".")[0] for name in modules)
        raise MissingDependencyError(f"{cls.__name__} needs {packages}, which is not installed")
    found = {getattr(import_module(name), base) for name in names}
    return _subclass(cls, tuple(sorted(found, key=lambda one: str(one.__module__))))


@cache
def _subclass(cls: type, bases: tuple[type, ...]) -> type:
    own = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls, *bases), own)


def check_recorder(recorder: Any, protocol: RecordProtocol | None = None) -> DynamicsRecorder:
    """Refuse what is no recorder, or one for outputs of another kind."""
    from proxysample.dynamics.recorder import DynamicsRecorder

    if not isinstance(recorder, DynamicsRecorder):
        raise InputError(f"recorder must be a DynamicsRecorder, not {shown(recorder)}")
    if protocol is not None and recorder.protocol != protocol:
        what = "training steps" if protocol == "train" else "a pass at the end of each epoch"
        raise InputError(
            f"these are the outputs of {what}: make the recorder with protocol={protocol!r}"
        )
    return recorder


def check_key(name: str, value: Any) -> None:
    """Refuse what names no part of a batch."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} must be a key of a batch, a string, not {shown(value)}")


def part_of(name: str, places: Mapping[str, Any], advice: str) -> Any:
    """Take a part by its key from the first place that has it."""
    for place in places.values():
        if isinstance(place, Mapping) and name in place:
            return place[name]
    held = "; ".join(f"{where}: {_keys_of(place)}" for where, place in places.items())
    raise InputError(f"there is no {name!r} to be recorded ({held}): {advice}")


def _keys_of(place: Any) -> str:
    if isinstance(place, Mapping):
        return ", ".join(map(repr, place)) or "nothing"
    return f"a {type(place).__name__}"


def leave_out_open_epoch(recorder: DynamicsRecorder) -> None:
    """Forget an epoch that a training did not end, and say so."""
    recorder.discard_epoch()
    warnings.warn(
        f"the training ended within epoch {recorder.n_epochs}, which the record leaves out",
        ProxysampleWarning,
        stacklevel=level_of_caller(),
    )
