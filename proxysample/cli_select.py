"""What ``proxysample select`` does with its options: check, score or cut, write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from proxysample.errors import InputError
from proxysample.outputs import (
    STANDARD_OUTPUT,
    Kind,
    SelectionWriter,
    check_destination,
    check_empty,
    check_folder,
    check_names,
    make_subset_folder,
    read_sample_list,
    spread,
)
from proxysample.printing import cleaned
from proxysample.selection import BALANCES, Cut, SelectionRules
from proxysample.shares import ClassWeights

if TYPE_CHECKING:
    from proxysample.data.keys import Keys
    from proxysample.keeping import IntArray
    from proxysample.ranking import Ranking
    from proxysample.sampler import Sampler


def parse_balance(words: Sequence[str] | None) -> Any:
    """Read a balance from words: a name, or counts by class.

    Examples
    --------
    >>> parse_balance(["equal"])
    'equal'
    >>> parse_balance(["cat=100,dog=50", "a,b=c=7"])
    {'cat': 100, 'dog': 50, 'a,b=c': 7}
    >>> print(parse_balance(["weights:cat=2,dog=0.5"]), parse_balance(["need:cat=0.75,dog=0.5"]))
    cat=2, dog=0.5 cat=0.25, dog=0.5
    """
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    kind, colon, first = words[0].partition(":")
    if colon and kind in _MAKERS:
        numbers = _numbers([first, *words[1:]], r"[0-9.eE+-]+")
        try:
            return _MAKERS[kind]({name: float(number) for name, number in numbers.items()})
        except ValueError as error:
            raise InputError(f"--balance {words[0]}: {error}") from error
    return {name: int(count) for name, count in _numbers(words, r"\d+").items()}


_MAKERS = {"weights": ClassWeights, "need": ClassWeights.from_recall}


def _numbers(words: Sequence[str], pattern: str) -> dict[str, str]:
    """Read ``class=number,class=number``, whose classes may hold commas and equals signs."""
    found: dict[str, str] = {}
    for word in words:
        pieces = re.findall(rf"(.+?)=({pattern})(?:,|$)", word)
        if ",".join(f"{name}={number}" for name, number in pieces) != word:
            raise InputError(
                f"--balance takes {', '.join(BALANCES)}, counts such as cat=100,dog=50, "
                f"weights:cat=2,dog=1 or need:cat=0.9,dog=0.5 (recall), not {word!r}"
            )
        for name, number in pieces:
            if name in found:
                raise InputError(f"--balance counts class {name!r} twice")
            found[name] = number
    return found


def rules_of(
    balance: Sequence[str] | None,
    min_per_class: int,
    must_keep: Path | None,
    exclude: Path | None,
) -> SelectionRules:
    """Give the options of a command as what `Ranking.select` takes."""
    return {
        "balance": parse_balance(balance),
        "min_per_class": min_per_class,
        "must_keep": None if must_keep is None else read_sample_list(must_keep),
        "exclude": None if exclude is None else read_sample_list(exclude),
    }


def cuts_of(ratios: Sequence[float], counts: Sequence[int], rules: SelectionRules) -> list[Cut]:
    """Give a cut for each ratio and number; counts by class need neither."""
    from proxysample.ranking import as_cuts

    cuts = [cut for _, cut in as_cuts(ratios, counts, rules)]
    return cuts or [Cut(**rules)]


@dataclass
class Destinations:
    """Where each kept set goes, one file or folder a cut.

    Attributes
    ----------
    files : list of str
        Empty where none is written; ``-`` is standard output.
    folders : list of pair of Kind and list of str
    """

    files: list[str]
    folders: list[tuple[Kind, list[str]]] = field(default_factory=list)

    @classmethod
    def named(
        cls,
        cuts: Sequence[Cut],
        output: str | None,
        link_to: str | None,
        copy_to: str | None,
        link_kind: str,
    ) -> Destinations:
        """Spread the patterns over the cuts, and check them before any dataset is read."""
        if output is None and link_to is None and copy_to is None:
            raise InputError("say where the kept set goes: -o FILE, --link-to or --copy-to FOLDER")
        if link_kind not in ("symbolic", "hard"):
            raise InputError(f"--link-kind takes symbolic or hard, not {link_kind!r}")
        files = [] if output is None else spread(output, cuts)
        folders: list[tuple[Kind, list[str]]] = []
        if link_to is not None:
            folders.append(("hard" if link_kind == "hard" else "symbolic", spread(link_to, cuts)))
        if copy_to is not None:
            folders.append(("copy", spread(copy_to, cuts)))
        for file in files:
            check_destination(file)
        named = [folder for _, places in folders for folder in places]
        for folder in named:
            check_empty(folder)
        if len(set(named)) < len(named):
            raise InputError("--link-to and --copy-to name one folder; name two")
        return cls(files, folders)

    def check_against(self, keys: Keys | None) -> None:
        """Check, before any scoring, that the samples have the names that are to be written."""
        check_names(self.files, keys)
        for kind, places in self.folders:
            for folder in places:
                check_folder(folder, keys, kind)

    def write(self, place: int, writer: SelectionWriter, cut: Cut, indices: IntArray) -> str:
        """Write one kept set everywhere that it goes, and tell where that is."""
        told = []
        if self.files:
            writer.write(self.files[place], cut, indices)
            told.append(self.files[place])
        for kind, places in self.folders:
            assert writer.keys is not None  # `check_against` has seen to it
            make_subset_folder(places[place], writer.keys, indices, kind)
            told.append(places[place])
        return ", ".join("standard output" if one == STANDARD_OUTPUT else one for one in told)

    @property
    def echoes(self) -> bool:
        """Whether standard output is taken by indices."""
        return STANDARD_OUTPUT in self.files


@dataclass(frozen=True)
class Teller:
    """Says what was done, as much of it as was asked for."""

    quiet: bool = False
    verbose: bool = False
    to_stderr: bool = False

    def say(self, words: str) -> None:
        """Print what a person should know."""
        if not self.quiet:
            typer.echo(cleaned(words), err=self.to_stderr)

    def say_unless_nested(self, ranking: Ranking) -> None:
        """Tell of a rule whose smaller sets are no part of its larger ones."""
        if not ranking.nested:
            self.say(
                f"the keeping rule {ranking.rule} has another order for each size: sets do not nest"
            )

    def explain(self, words: str) -> None:
        """Print what only those want to know who asked."""
        if self.verbose:
            typer.echo(cleaned(words), err=True)


def score_or_load(
    sampler: Sampler | None,
    ranking: Ranking | None,
    train: Any,
    cuts: Sequence[Cut],
) -> Ranking:
    """Give the ranking of a dataset: one that was saved, after checking that it fits, or a new."""
    from dataclasses import replace

    from proxysample.data.classes import read_classes
    from proxysample.data.reading import Samples

    if ranking is None:
        assert sampler is not None  # the command has seen to it
        return sampler.rank_for(cuts, train)
    if train is not None:
        ranking.check_dataset(train)
        if ranking.classes is None:
            ranking = replace(ranking, classes=read_classes(Samples(train)))
    for cut in cuts:
        ranking.fitted(cut)
    return ranking


def tell_kept(teller: Teller, ranking: Ranking, indices: IntArray) -> None:
    """Print, where it was asked for, how many of each class are kept."""
    if ranking.classes is None:
        return
    names, codes, sizes = ranking.classes.names, ranking.classes.codes, ranking.classes.sizes
    kept = np.bincount(codes[indices], minlength=len(names))
    for name, count, size in zip(names, kept.tolist(), sizes.tolist(), strict=True):
        teller.explain(f"  {name}: {count:,} of {size:,}")
