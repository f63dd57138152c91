"""Tables as comma-separated values, numbers unrounded."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from proxysample_nas.study.results import FoundCell, Row


def write_csv(records: Iterable[Mapping[str, Any]], names: list[str]) -> str:
    r"""Write records as comma-separated values.

    Parameters
    ----------
    records : iterable of mapping
        A name that is missing, or None, is left empty.
    names : list of str
        The columns.

    Returns
    -------
    str

    Examples
    --------
    >>> write_csv([{"a": 1, "b": None}], ["a", "b"])
    'a,b\n1,\n'
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def searches_to_csv(rows: list[Row], channels: tuple[int, ...]) -> str:
    """Write a table with one line per search.

    Parameters
    ----------
    rows : list of Row
    channels : tuple of int
        Widths, three columns each.

    Returns
    -------
    str
        A setting that has not been searched has one line without a cell.
    """
    names = ["searcher", "group", "method", "r", "search_seed", "n_kept"]
    for c in channels:
        names += [f"accuracy_mean_c{c}", f"accuracy_std_c{c}", f"n_seeds_c{c}"]
    names += ["search_seconds", "scoring_seconds", "parameter_free", "cell"]
    return write_csv((line for row in rows for line in _search_lines(row)), names)


def settings_to_csv(rows: list[Row], channels: tuple[int, ...]) -> str:
    """Write a table with one line per setting: how its searches are distributed.

    Parameters
    ----------
    rows : list of Row
    channels : tuple of int
        Widths, five columns each; means and deviations are over searches.

    Returns
    -------
    str
    """
    names = ["searcher", "group", "method", "r", "n_kept", "n_searches", "n_parameter_free"]
    for c in channels:
        names += [f"{what}_c{c}" for what in ("mean", "std", "lowest", "highest", "n_judged")]
    names += ["mean_search_seconds", "scoring_seconds"]
    return write_csv((_setting_line(row, channels) for row in rows), names)


def _setting(row: Row) -> dict[str, Any]:
    return {
        "searcher": row.setting.searcher.label,
        "group": row.group,
        "method": row.method.rstrip("*"),
        "r": row.setting.r,
        "n_kept": row.n_kept,
        "scoring_seconds": row.scoring_seconds,
    }


def _search_lines(row: Row) -> Iterator[dict[str, Any]]:
    for found in row.found:
        yield _setting(row) | _search(found)
    if not row.found:
        yield _setting(row)


def _search(found: FoundCell) -> dict[str, Any]:
    values: dict[str, Any] = {
        "search_seed": found.seed,
        "search_seconds": found.seconds,
        "parameter_free": found.cell.is_parameter_free,
        "cell": found.cell,
    }
    for c, accuracy in found.evaluations.items():
        values[f"accuracy_mean_c{c}"] = accuracy.mean
        values[f"accuracy_std_c{c}"] = accuracy.std
        values[f"n_seeds_c{c}"] = len(accuracy.accuracies)
    return values


def _setting_line(row: Row, channels: tuple[int, ...]) -> dict[str, Any]:
    values = _setting(row) | {
        "n_searches": len(row.found),
        "n_parameter_free": sum(one.cell.is_parameter_free for one in row.found),
        "mean_search_seconds": row.search_seconds,
    }
    for c in channels:
        means = row.accuracies(c)
        values[f"n_judged_c{c}"] = len(means)
        if means:
            values[f"mean_c{c}"] = statistics.fmean(means)
            values[f"lowest_c{c}"], values[f"highest_c{c}"] = min(means), max(means)
        if len(means) > 1:
            values[f"std_c{c}"] = statistics.stdev(means)
    return values
