"""Records of the ranks of a distributed training as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from proxysample.errors import InputError

if TYPE_CHECKING:
    from proxysample.dynamics.recorder import DynamicsRecorder

RecorderT = TypeVar("RecorderT", bound="DynamicsRecorder")

SETTINGS = ("n_samples", "n_classes", "kind", "protocol", "changes", "n_epochs")


def merged(cls: type[RecorderT], parts: list[DynamicsRecorder]) -> RecorderT:
    """Take each sample of each epoch from the first part that has it."""
    if not parts:
        raise InputError("there are no parts to merge")
    first = parts[0]
    for number, part in enumerate(parts):
        part._refuse_open_epoch()
        other = [one for one in SETTINGS if getattr(part, one) != getattr(first, one)]
        if other:
            raise InputError(
                f"part {number} has {other[0]}={getattr(part, other[0])!r}, and the first "
                f"{getattr(first, other[0])!r}: only parts of one training are merged"
            )
    found = cls(
        first.n_samples,
        first.n_classes,
        kind=first.kind,
        protocol=first.protocol,
        changes=first.changes,
    )
    _merge_labels(found, parts)
    names = {name for part in parts for name, rows in part._epochs.items() if rows}
    if any(not part._epochs.get(name) for name in names for part in parts):
        raise InputError("some parts hold features and others do not")
    for epoch in range(first.n_epochs):
        # Unseen samples have no probability.
        seen = np.stack([~np.isnan(part._epochs["p_true"][epoch]) for part in parts])
        owner = seen.argmax(axis=0)
        found._check_gaps(np.asarray(seen.any(axis=0)))
        for name in names:
            rows = np.stack([part._epochs[name][epoch] for part in parts])
            found._epochs.setdefault(name, []).append(rows[owner, np.arange(found.n_samples)])
        found._held_out.append(sum((part._held_out[epoch] for part in parts), np.zeros(())))
        found.repeats.append(int(np.count_nonzero(seen.sum(axis=0) > 1)))
    if first.changes:
        known = [part._before for part in parts if part._before is not None]
        found._before = known[0].copy() if known else None
        for before in known[1:]:
            assert found._before is not None
            unknown = np.isnan(found._before)
            found._before[unknown] = before[unknown]
    return found


def _merge_labels(found: DynamicsRecorder, parts: list[DynamicsRecorder]) -> None:
    for number, part in enumerate(parts):
        both = (found._labels >= 0) & (part._labels >= 0)
        other = np.flatnonzero(both & (found._labels != part._labels))
        if len(other):
            raise InputError(
                f"part {number} has another label of sample {other[0]} than those before it"
            )
        found._labels = np.maximum(found._labels, part._labels)
