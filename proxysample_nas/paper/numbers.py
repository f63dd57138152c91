"""The paper's own numbers: Tables 1 to 5 of "Less is More: Proxy Datasets in NAS approaches"."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

FULL_DATA = "Full DS"
CHANNELS = (16, 32, 64)
"""Widths at which the paper evaluates each cell."""


@dataclass(frozen=True)
class PapersAccuracy:
    """A top-1 accuracy as the paper prints it.

    Attributes
    ----------
    printed : str
        To the paper's digits, such as ``"75.7 ± 0.1"``.

    Examples
    --------
    >>> PapersAccuracy("75.7 ± 0.1").mean
    75.7
    """

    printed: str

    @property
    def mean(self) -> float:
        """Percent."""
        return float(self.printed.partition(" ± ")[0])

    @property
    def std(self) -> float | None:
        """Percentage points over three trainings of one cell; None where none is printed."""
        spread = self.printed.partition(" ± ")[2]
        return float(spread) if spread else None


@dataclass(frozen=True)
class PapersRow:
    """One line of Tables 1 to 4, on CIFAR-100.

    Attributes
    ----------
    table : int
    searcher : str
        Our id.
    method : str
        As the paper has it, such as ``"CC-OR"``; `FULL_DATA` for the baseline.
    r : float
    is_marked : bool
        Whether a * marks the cell as the local optimum, of skip connections alone.
    accuracies : dict of int to PapersAccuracy
        By number of channels.
    """

    table: int
    searcher: str
    method: str
    r: float
    is_marked: bool
    accuracies: dict[int, PapersAccuracy]

    @property
    def sampler(self) -> str | None:
        """Our id of the sampler; None for the baseline."""
        return None if self.method == FULL_DATA else self.method.lower()


@dataclass(frozen=True)
class PapersTransferRow:
    """One line of Table 5: cells found on CIFAR-100, evaluated on ImageNet16-120 too.

    Attributes
    ----------
    group : str
        ``"nas-bench-201"`` (numbers of Dong & Yang 2020), ``"baseline"`` (the paper's own),
        ``"ae"`` or ``"tl"``.
    r : float
    model : str
        A searcher, or ``"ResNet"``.
    accuracies : dict of str to PapersAccuracy
        By dataset, ``"cifar100"`` and ``"imagenet16-120"``.
    """

    group: str
    r: float
    model: str
    accuracies: dict[str, PapersAccuracy]


@cache
def papers_rows() -> tuple[PapersRow, ...]:
    """List every line of Tables 1 to 4.

    Returns
    -------
    tuple of PapersRow
        In the paper's order.

    Examples
    --------
    >>> first = papers_rows()[0]
    >>> first.searcher, first.method, first.accuracies[64].printed
    ('darts-v1', 'Full DS', '47.3 ± 0.3')
    """
    return tuple(
        PapersRow(
            table=table["table"],
            searcher=table["searcher"],
            method=row["method"],
            r=row["r"],
            is_marked=row["is_marked"],
            accuracies={int(c): PapersAccuracy(text) for c, text in row["accuracies"].items()},
        )
        for table in _read()["cell_tables"]
        for row in table["rows"]
    )


@cache
def papers_transfer_rows() -> tuple[PapersTransferRow, ...]:
    """List every line of Table 5.

    Returns
    -------
    tuple of PapersTransferRow
        In the paper's order.
    """
    return tuple(
        PapersTransferRow(
            group=row["group"],
            r=row["r"],
            model=row["model"],
            accuracies={name: PapersAccuracy(text) for name, text in row["accuracies"].items()},
        )
        for row in _read()["transfer_table"]["rows"]
    )


def papers_row(searcher: str, sampler: str | None, r: float) -> PapersRow | None:
    """Look a line of Tables 1 to 4 up.

    Parameters
    ----------
    searcher : str
        Its id.
    sampler : str or None
        Its id; None for the baseline.
    r : float

    Returns
    -------
    PapersRow or None
        None where the paper has none.

    Examples
    --------
    >>> papers_row("darts-v2", "tl", 0.5).accuracies[64].mean
    75.7
    """
    wanted = (searcher, sampler, r)
    found = [row for row in papers_rows() if (row.searcher, row.sampler, row.r) == wanted]
    return found[0] if found else None


def table_number(searcher: str) -> int | None:
    """Give the number of a searcher's table in the paper; None where it has none."""
    return next((row.table for row in papers_rows() if row.searcher == searcher), None)


def _read() -> dict[str, Any]:
    text = files(__package__).joinpath("numbers.json").read_text(encoding="utf-8")
    numbers: dict[str, Any] = json.loads(text)
    return numbers
