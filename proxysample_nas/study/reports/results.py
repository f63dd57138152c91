"""All that a report shows, read from a study's store once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from proxysample.errors import InputError
from proxysample.experiments.store import Store
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.settings import Specifications
from proxysample_nas.study.results.rows import FoundCell, Row, read_configuration, read_rows


@dataclass(frozen=True)
class StudyResults:
    """What a study compared and found.

    Attributes
    ----------
    store : Store
    configuration : StudyConfiguration
    facts : StudyFacts
    rows : tuple of Row
        Of all searchers, one after another, each in the order of the paper's tables.
    """

    store: Store
    configuration: StudyConfiguration
    facts: StudyFacts
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, store: Store) -> Self:
        """Read a store.

        Parameters
        ----------
        store : Store

        Returns
        -------
        StudyResults

        Raises
        ------
        InputError
            If no study was run in it.
        """
        configuration, facts = read_configuration(store)
        return cls(store, configuration, facts, tuple(read_rows(store)))

    @property
    def widest(self) -> int:
        """The largest number of channels at which cells were judged."""
        return max(self.configuration.channels)

    @property
    def named_searchers(self) -> list[tuple[str, Component]]:
        """Each searcher by a short name; the same one with other parameters is numbered."""
        searchers = self.configuration.searchers
        return list(zip(short_names(searchers), searchers, strict=True))

    def name_of(self, searcher: Component) -> str:
        """Give the short name of one searcher."""
        return next(name for name, one in self.named_searchers if one == searcher)

    def rows_of(self, searcher: Component) -> list[Row]:
        """Give the lines of one searcher's table."""
        return [row for row in self.rows if row.setting.searcher == searcher]

    def search(self, row: Row, found: FoundCell) -> dict[str, Any]:
        """Give all that the store holds of one search: its facts, history and machine."""
        specifications = Specifications(self.configuration, self.facts)
        record = self.store.get("search", specifications.search(row.setting, found.seed))
        if record is None or record.result is None:
            raise InputError(f"{self.store.path} has changed since it was read; read it again")
        return record.result


def short_names(searchers: tuple[Component, ...]) -> list[str]:
    """Name searchers by their ids; the same id again gets a number.

    Parameters
    ----------
    searchers : tuple of Component

    Returns
    -------
    list of str

    Examples
    --------
    >>> short_names((Component("gdas"), Component("gdas", {"epochs": 9}), Component("enas")))
    ['gdas', 'gdas-2', 'enas']
    """
    seen: Counter[str] = Counter()
    names = []
    for searcher in searchers:
        seen[searcher.name] += 1
        again = seen[searcher.name]
        names.append(searcher.name + (f"-{again}" if again > 1 else ""))
    return names
