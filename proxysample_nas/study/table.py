"""Tables 1 to 4: accuracies of the cells that one searcher found."""

from __future__ import annotations

import csv
import io
import statistics
from typing import Any

from proxysample_nas.study.rows import GROUPS, Row


def to_markdown(rows: list[Row], channels: tuple[int, ...]) -> str:
    """Write a table in the paper's form.

    Parameters
    ----------
    rows : list of Row
    channels : tuple of int
        Widths, one column each.

    Returns
    -------
    str
        Markdown, columns aligned.
    """
    header = ["Method", "r", "kept", *(f"A, C={c}" for c in channels), "search s", "scoring s"]
    lines = [[*header, "cell"]]
    for group in GROUPS:
        members = [row for row in rows if row.group == group]
        if members:
            lines.append([f"**{group}**", *[""] * len(header)])
            lines += [_markdown_cells(row, channels) for row in members]
    return _aligned(lines)


def _markdown_cells(row: Row, channels: tuple[int, ...]) -> list[str]:
    return [
        # An asterisk that stands for itself in Markdown.
        row.method.replace("*", r"\*"),
        f"{row.setting.r:g}",
        "" if row.n_kept is None else f"{row.n_kept:,}",
        *(_accuracy(row, c) for c in channels),
        "" if row.search_seconds is None else f"{row.search_seconds:.1f}",
        "" if row.scoring_seconds is None else f"{row.scoring_seconds:.2f}",
        _cells(row),
    ]


def _accuracy(row: Row, channels: int) -> str:
    """Mean ± spread: over training seeds for one search, over searches for several."""
    means = row.accuracies(channels)
    if not means:
        return ""
    if len(row.found) == 1:
        spread = row.found[0].evaluations[channels].std
    else:
        spread = statistics.stdev(means) if len(means) > 1 else None
    return f"{statistics.fmean(means):.1f}" + ("" if spread is None else f" ± {spread:.1f}")


def _cells(row: Row) -> str:
    distinct = {str(one.cell) for one in row.found}
    if not distinct:
        return "not searched yet"
    if len(row.found) > 1:
        return f"{len(distinct)} distinct of {len(row.found)}"
    return f"`{distinct.pop()}`".replace("|", r"\|")


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "| "
        + " | ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


def to_csv(rows: list[Row], channels: tuple[int, ...]) -> str:
    """Write a table as comma-separated values, one line per search, numbers unrounded.

    Parameters
    ----------
    rows : list of Row
    channels : tuple of int
        Widths, three columns each.

    Returns
    -------
    str
    """
    names = ["searcher", "group", "method", "r", "search_seed", "n_kept"]
    for c in channels:
        names += [f"accuracy_mean_c{c}", f"accuracy_std_c{c}", f"n_seeds_c{c}"]
    names += ["search_seconds", "scoring_seconds", "parameter_free", "cell"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerows(_csv_lines(row))
    return stream.getvalue()


def _csv_lines(row: Row) -> list[dict[str, Any]]:
    common = {
        "searcher": row.setting.searcher.label,
        "group": row.group,
        "method": row.method.rstrip("*"),
        "r": row.setting.r,
        "scoring_seconds": row.scoring_seconds,
    }
    lines = []
    for one in row.found:
        values: dict[str, Any] = common | {
            "search_seed": one.seed,
            "n_kept": one.n_kept,
            "search_seconds": one.seconds,
            "parameter_free": one.cell.is_parameter_free,
            "cell": one.cell,
        }
        for c, accuracy in one.evaluations.items():
            values[f"accuracy_mean_c{c}"] = accuracy.mean
            values[f"accuracy_std_c{c}"] = accuracy.std
            values[f"n_seeds_c{c}"] = len(accuracy.accuracies)
        lines.append(values)
    return lines or [common]
