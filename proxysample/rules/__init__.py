"""Keeping rules, each an object with parameters: which samples a score keeps first."""

from __future__ import annotations

from proxysample.rules.directions import KeepBottom, KeepEasy, KeepHard, KeepMiddle, KeepTop
from proxysample.rules.draws import BetaDraw, HistogramDraw, WeightedDraw
from proxysample.rules.strata import CCS

__all__ = [
    "CCS",
    "BetaDraw",
    "HistogramDraw",
    "KeepBottom",
    "KeepEasy",
    "KeepHard",
    "KeepMiddle",
    "KeepTop",
    "WeightedDraw",
]
