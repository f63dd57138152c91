"""A table as it is read: columns, sections and lines of plain text, in no markup yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

Kind = Literal["text", "number", "code"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    heading : str
    kind : {"text", "number", "code"}
        Numbers stand to the right; code is set in a fixed width, as cells are.
    is_borrowed : bool
        Whether its numbers are of others.
    """

    heading: str
    kind: Kind = "text"
    is_borrowed: bool = False

    def is_code(self, text: str) -> bool:
        """Whether a text in this column is a cell, and not a word in its place."""
        return self.kind == "code" and text.startswith("|")


@dataclass(frozen=True)
class Section:
    """Lines under one heading, such as "Unsupervised".

    Attributes
    ----------
    heading : str
        Empty for none.
    lines : sequence of sequence of str
        Plain text, one per column; empty where there is nothing to show.
    """

    heading: str
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """One table.

    Attributes
    ----------
    title : str
    columns : tuple of Column
    sections : tuple of Section
    notes : tuple of str
        What has to be said beneath it.
    """

    title: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def without(self, *headings: str) -> Self:
        """Leave columns out, by their headings.

        Parameters
        ----------
        *headings : str

        Returns
        -------
        Layout

        Examples
        --------
        >>> table = Layout("t", (Column("a"), Column("b")), (Section("", [["1", "2"]]),))
        >>> table.without("a").sections[0].lines
        [['2']]
        """
        kept = [i for i, column in enumerate(self.columns) if column.heading not in headings]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            sections=tuple(
                Section(section.heading, [[line[i] for i in kept] for line in section.lines])
                for section in self.sections
            ),
        )
