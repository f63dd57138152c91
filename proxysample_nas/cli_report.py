"""The command that reports a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def study_report(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")],
    page: Annotated[
        Path | None, typer.Option("--page", help="The page; by default report/report.html in it.")
    ] = None,
) -> None:
    """Write every table, figure and one page from a study's store alone, into report/."""
    from proxysample_nas.study import Study

    for path in Study.open(output).report(page):
        typer.echo(f"saved {path}")
