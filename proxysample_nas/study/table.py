"""Tables 1 to 4: accuracies of the cells that one searcher found, read from the store alone."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from proxysample.errors import InputError
from proxysample.registry import sampler_class
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import Component, StudyConfiguration
from proxysample_nas.study.settings import Setting, Specifications, settings_of
from proxysample_nas.study.store import Store
from proxysample_nas.training.evaluation import Evaluation, TrainingRun

GROUPS = ("Baseline", "Unsupervised", "Supervised")
PAPERS_ORDER = ("rs", "km-or", "ae", "cc-rs", "cc-or", "tl")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    setting : Setting
    group : str
        One of `GROUPS`.
    n_kept : int or None
        Samples searched on; None where the search is missing.
    cell : Cell or None
        None where the search is missing.
    evaluations : dict
        By number of channels; a width without a finished training is left out.
    search_seconds, scoring_seconds : float or None
        Wall-clock time of the search, and of the sampler's one pass for all ratios.
    """

    setting: Setting
    group: str
    n_kept: int | None
    cell: Cell | None
    evaluations: dict[int, Evaluation]
    search_seconds: float | None
    scoring_seconds: float | None

    @property
    def method(self) -> str:
        """The sampler as in the paper, with a * where the cell has no parameters."""
        name = "Full DS" if self.setting.sampler is None else self.setting.sampler.label
        return name + ("*" if self.cell is not None and self.cell.is_parameter_free else "")


def read_rows(store: Store, searcher: Component) -> list[Row]:
    """Read the lines of a searcher's table, in the paper's order.

    Parameters
    ----------
    store : Store
    searcher : Component
        One of the study's.

    Returns
    -------
    list of Row
        Settings that have not been searched yet have no cell.
    """
    configuration, fingerprint = read_configuration(store)
    specifications = Specifications(configuration, fingerprint)
    rows = [
        _read_row(store, configuration, specifications, setting)
        for setting in settings_of(configuration)
        if setting.searcher == searcher
    ]
    return sorted(rows, key=_place)


def read_configuration(store: Store) -> tuple[StudyConfiguration, str]:
    """Read what a store's study compares, and the fingerprint of its data.

    Parameters
    ----------
    store : Store

    Returns
    -------
    configuration : StudyConfiguration
    fingerprint : str

    Raises
    ------
    InputError
        If no study was run in the store.
    """
    text, fingerprint = store.fact("configuration"), store.fact("fingerprint")
    if text is None or fingerprint is None:
        raise InputError(f"no study was run in {store.path}")
    return StudyConfiguration.from_json(text), fingerprint


def _place(row: Row) -> tuple[int, int, str, float]:
    sampler = row.setting.sampler
    name = "" if sampler is None else sampler.name
    known = PAPERS_ORDER.index(name) if name in PAPERS_ORDER else len(PAPERS_ORDER)
    label = "" if sampler is None else sampler.label
    return GROUPS.index(row.group), known, label, -row.setting.r


def _read_row(
    store: Store,
    configuration: StudyConfiguration,
    specifications: Specifications,
    setting: Setting,
) -> Row:
    search = store.get("search", specifications.search(setting))
    result: dict[str, Any] = (search.result if search is not None else None) or {}
    cell = Cell.from_string(result["cell"]) if result else None
    return Row(
        setting=setting,
        group=_group(setting.sampler),
        n_kept=result.get("n_kept"),
        cell=cell,
        evaluations={}
        if cell is None
        else _evaluations(store, configuration, specifications, cell),
        search_seconds=result.get("seconds"),
        scoring_seconds=_scoring_seconds(store, specifications, setting.sampler),
    )


def _group(sampler: Component | None) -> str:
    if sampler is None:
        return "Baseline"
    return "Supervised" if sampler_class(sampler.name).needs_labels else "Unsupervised"


def _evaluations(
    store: Store, configuration: StudyConfiguration, specifications: Specifications, cell: Cell
) -> dict[int, Evaluation]:
    found = {}
    for channels in configuration.channels:
        records = [
            store.get("training", specifications.training(cell, channels, seed))
            for seed in configuration.seeds
        ]
        results = [record.result for record in records if record is not None and record.result]
        if results:
            found[channels] = Evaluation([_training_run(result) for result in results])
    return found


def _training_run(result: dict[str, Any]) -> TrainingRun:
    return TrainingRun.from_dict({k: v for k, v in result.items() if k != "machine"})


def _scoring_seconds(
    store: Store, specifications: Specifications, sampler: Component | None
) -> float | None:
    if sampler is None:
        return None
    record = store.get("selection", specifications.selection(sampler))
    return None if record is None or record.result is None else float(record.result["seconds"])


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
        *(_accuracy(row.evaluations.get(c)) for c in channels),
        "" if row.search_seconds is None else f"{row.search_seconds:.1f}",
        "" if row.scoring_seconds is None else f"{row.scoring_seconds:.2f}",
        "not searched yet" if row.cell is None else f"`{row.cell}`".replace("|", r"\|"),
    ]


def _accuracy(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    spread = f" ± {evaluation.std:.1f}" if len(evaluation.runs) > 1 else ""
    return f"{evaluation.mean:.1f}{spread}"


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
    """Write a table as comma-separated values, numbers unrounded.

    Parameters
    ----------
    rows : list of Row
    channels : tuple of int
        Widths, three columns each.

    Returns
    -------
    str
    """
    names = ["searcher", "group", "method", "r", "n_kept"]
    for c in channels:
        names += [f"accuracy_mean_c{c}", f"accuracy_std_c{c}", f"n_seeds_c{c}"]
    names += ["search_seconds", "scoring_seconds", "parameter_free", "cell"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values: dict[str, Any] = {
            "searcher": row.setting.searcher.label,
            "group": row.group,
            "method": row.method.rstrip("*"),
            "r": row.setting.r,
            "n_kept": row.n_kept,
            "search_seconds": row.search_seconds,
            "scoring_seconds": row.scoring_seconds,
            "parameter_free": None if row.cell is None else row.cell.is_parameter_free,
            "cell": row.cell,
        }
        for c, evaluation in row.evaluations.items():
            values[f"accuracy_mean_c{c}"] = evaluation.mean
            values[f"accuracy_std_c{c}"] = evaluation.std if len(evaluation.runs) > 1 else None
            values[f"n_seeds_c{c}"] = len(evaluation.runs)
        writer.writerow(values)
    return stream.getvalue()
