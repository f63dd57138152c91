"""Which sampler pays on a dataset: the same model is trained on what each keeps, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.comparison.comparison import Comparison, compare
    from proxysample.comparison.evaluators import Evaluator, Found
    from proxysample.comparison.head import LinearHead
    from proxysample.comparison.network import NetworkFromScratch
    from proxysample.comparison.parts import Budget, KeptSet, Part

__all__ = [
    "Budget",
    "Comparison",
    "Evaluator",
    "Found",
    "KeptSet",
    "LinearHead",
    "NetworkFromScratch",
    "Part",
    "compare",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.comparison.comparison": ["Comparison", "compare"],
            "proxysample.comparison.evaluators": ["Evaluator", "Found"],
            "proxysample.comparison.head": ["LinearHead"],
            "proxysample.comparison.network": ["NetworkFromScratch"],
            "proxysample.comparison.parts": ["Budget", "KeptSet", "Part"],
        },
    )
