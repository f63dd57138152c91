"""A study's results as a pandas frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from proxysample.errors import MissingDependencyError
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import CellAccuracy, FoundCell, Row

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = {
    "searcher": "string",
    "searcher_parameters": "object",
    "group": "string",
    "method": "string",
    "sampler": "string",
    "sampler_parameters": "object",
    "r": "float64",
    "n_kept": "Int64",
    "search_seed": "Int64",
    "cell": "string",
    "is_parameter_free": "boolean",
    "search_seconds": "float64",
    "scoring_seconds": "float64",
    "channels": "Int64",
    "evaluation_seed": "Int64",
    "accuracy": "float64",
    "n_parameters": "Int64",
    "evaluation_seconds": "float64",
}
"""Types by column; whole numbers stay whole where some are missing."""


def results_frame(results: StudyResults) -> DataFrame:
    """Give one line for each evaluation, and for each search whose cell has none yet."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "pandas is not installed, and a frame needs it: pip install 'proxysample[pandas]'"
        ) from error
    lines = [
        line | evaluation
        for row in results.rows
        for found in row.found
        for line in [_search(row, found)]
        for evaluation in _evaluations(found)
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(COLUMNS)


def _search(row: Row, found: FoundCell) -> dict[str, Any]:
    searcher, sampler = row.setting.searcher, row.setting.sampler
    return {
        "searcher": searcher.name,
        "searcher_parameters": dict(searcher.parameters),
        "group": row.group,
        "method": "Full DS" if sampler is None else sampler.label,
        "sampler": None if sampler is None else sampler.name,
        "sampler_parameters": {} if sampler is None else dict(sampler.parameters),
        "r": row.setting.r,
        "n_kept": found.n_kept,
        "search_seed": found.seed,
        "cell": str(found.cell),
        "is_parameter_free": found.cell.is_parameter_free,
        "search_seconds": found.seconds,
        "scoring_seconds": row.scoring_seconds,
    }


def _evaluations(found: FoundCell) -> Iterator[dict[str, Any]]:
    if not found.evaluations:
        yield {}
    for channels, accuracy in sorted(found.evaluations.items()):
        for evaluation in _runs(accuracy):
            yield {"channels": channels} | evaluation


def _runs(accuracy: CellAccuracy) -> Iterator[dict[str, Any]]:
    if accuracy.is_looked_up:
        yield {"accuracy": accuracy.mean}
    for run in accuracy.runs:
        yield {
            "evaluation_seed": run.seed,
            "accuracy": run.accuracy,
            "n_parameters": run.n_parameters,
            "evaluation_seconds": run.seconds,
        }
