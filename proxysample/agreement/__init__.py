"""Rank agreement: whether a proxy dataset orders configurations as the full data do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.agreement.agreement import RankAgreement, rank_agreement
    from proxysample.agreement.evaluator import Evaluator, FunctionEvaluator
    from proxysample.agreement.statistics import kendall_tau, regret, spearman, top_k_overlap

__all__ = [
    "Evaluator",
    "FunctionEvaluator",
    "RankAgreement",
    "kendall_tau",
    "rank_agreement",
    "regret",
    "spearman",
    "top_k_overlap",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.agreement.agreement": ["RankAgreement", "rank_agreement"],
            "proxysample.agreement.evaluator": ["Evaluator", "FunctionEvaluator"],
            "proxysample.agreement.statistics": [
                "kendall_tau",
                "regret",
                "spearman",
                "top_k_overlap",
            ],
        },
    )
