"""What was kept and dropped, as text and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.reporting.report import Report, build_report

__all__ = [
    "Report",
    "build_report",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.reporting.report": ["Report", "build_report"],
        },
    )
