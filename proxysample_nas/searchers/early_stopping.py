"""End a search before it collapses.

Source: Liang, Zhang, Sun, He, Huang, Zhuang & Li, "DARTS+: Improved Differentiable Architecture
Search with Early Stopping" (2019), the two criteria of its section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace


def reason_to_stop(
    history: Sequence[EpochRecord],
    *,
    stop_at_skips: int | None,
    stop_when_stable: int | None,
    space: SearchSpace = NAS_BENCH_201,
) -> str | None:
    """Tell whether a search should end after the epochs that are done, and why.

    It depends on the history alone, so that a search which is taken up again stops where one
    that was never interrupted does.

    Parameters
    ----------
    history : sequence of EpochRecord
        The epochs that are done.
    stop_at_skips : int or None
        Number of skip connections in the last epoch's genotype.
    stop_when_stable : int or None
        Number of epochs up to the last one which have left alone, on every edge, the order of
        the operations that learn, in NAS-Bench-201 the two convolutions. With N of them the last
        N + 1 epochs must agree.
    space : SearchSpace
        What the search chooses from.

    Returns
    -------
    str or None
        The reason, or None to go on.

    Examples
    --------
    >>> from proxysample_nas.space.cell import Cell
    >>> cell = Cell.filled("skip_connect", n_nodes=2)
    >>> record = EpochRecord(0, cell, ((0.1, 0.6, 0.1, 0.1, 0.1),), 0.025, 2.3, 10.0, 2.3, 9.0, 1.5)
    >>> reason_to_stop([record], stop_at_skips=1, stop_when_stable=None)
    'after epoch 1, 1 of 1 edges are skip connections (stop_at_skips=1)'
    >>> reason_to_stop([record], stop_at_skips=2, stop_when_stable=1) is None
    True
    """
    if not history:
        return None
    last = history[-1]
    if stop_at_skips is not None and last.n_skip_connections >= stop_at_skips:
        return (
            f"after epoch {last.epoch + 1}, {last.n_skip_connections} of "
            f"{len(last.cell.operations)} edges are skip connections "
            f"(stop_at_skips={stop_at_skips})"
        )
    if stop_when_stable is not None and _is_stable(history, stop_when_stable, space):
        return (
            f"after epoch {last.epoch + 1}, {stop_when_stable} epochs in a row have left the order "
            f"of the convolutions on every edge as it was (stop_when_stable={stop_when_stable})"
        )
    return None


def _is_stable(history: Sequence[EpochRecord], n_epochs: int, space: SearchSpace) -> bool:
    recent = history[-n_epochs - 1 :]
    rankings = {_rankings(record, space) for record in recent}
    return len(recent) == n_epochs + 1 and len(rankings) == 1


def _rankings(record: EpochRecord, space: SearchSpace) -> tuple[tuple[int, ...], ...]:
    """Rank the operations that learn on every edge, the likeliest first."""
    learning = [index for index, operation in enumerate(space) if operation.has_parameters]
    return tuple(
        tuple(sorted(learning, key=lambda index: -row[index]))
        for row in record.architecture_weights
    )
