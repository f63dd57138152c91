"""What a rank agreement has found: scores read from its store, and a row for every proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from proxysample.agreement import statistics
from proxysample.agreement.design import RIVAL, Design, Proxy
from proxysample.agreement.experiments import DataInfo, Plan, Scores, Selection
from proxysample.agreement.statistics import FloatArray, IntArray, Interval
from proxysample.components import Component
from proxysample.errors import InputError
from proxysample.experiments.store import Store

FULL = "the full data"
"""The reference that always is there: the full data at the same budget, at the first seed."""

N_RESAMPLES = 4000
SEED_OF_RESAMPLES = 0


@dataclass(frozen=True)
class Trained:
    """All configurations trained on one proxy.

    Attributes
    ----------
    proxy : Proxy
    n_kept : int
        Samples.
    scores : ndarray of shape (n,)
        In the order of the compared configurations.
    seconds : float
        Of all trainings together.
    scoring_seconds : float or None
        Of the sampler's pass; None for the full data.
    """

    proxy: Proxy
    n_kept: int
    scores: FloatArray
    seconds: float
    scoring_seconds: float | None


@dataclass(frozen=True)
class Row:
    """One proxy against one reference, its draws taken together.

    Attributes
    ----------
    reference : str
        What its ranking is compared with: `FULL`, or one of the known scores.
    method : str
        The sampler's label, or what else is compared.
    sampler : Component or None
        None for the full data, and for known scores.
    budget : str
        ``"epochs"`` or ``"steps"``; empty where both are the same.
    r : float
    n_kept : int or None
        None for known scores.
    n_draws : int
        Proxies that are different draws, or trained at different seeds.
    tau, spearman : float
        Means over the draws; NaN where a ranking says nothing.
    tau_interval, spearman_interval : Interval or None
        By resamples of the configurations.
    taus : tuple of float
        One for each draw.
    k : int
        Of the overlap.
    overlap : float
        Share of the reference's best k that are among the proxy's best k.
    regret : float
        What is lost by picking the proxy's best, in the units of the reference.
    to_rival : float or None
        Tau less that of class-random sampling at the same r and budget; None for itself.
    to_rival_interval : Interval or None
        Paired by resample.
    to_rival_after_all : Interval or None
        The same, at the level that Bonferroni's correction asks for over all such rows.
    to_ceiling, to_ceiling_interval
        Tau less that of the full data at other seeds.
    seconds : float
        Of the trainings on one draw, the mean.
    share : float
        Of the seconds on the full data.
    scoring_seconds : float or None
        Of the sampler's pass, the mean.
    n : int or None
        How many samples are kept, where that was given in place of `r`.
    """

    reference: str
    method: str
    sampler: Component | None
    budget: str
    r: float
    n_kept: int | None
    n_draws: int
    tau: float
    tau_interval: Interval | None
    taus: tuple[float, ...]
    spearman: float
    spearman_interval: Interval | None
    k: int
    overlap: float
    regret: float
    to_rival: float | None = None
    to_rival_interval: Interval | None = None
    to_rival_after_all: Interval | None = None
    to_ceiling: float | None = None
    to_ceiling_interval: Interval | None = None
    seconds: float | None = None
    share: float | None = None
    scoring_seconds: float | None = None
    n: int | None = None

    @property
    def is_ceiling(self) -> bool:
        """Whether it is the full data, as far as they agree with themselves."""
        return self.sampler is None and self.seconds is not None


class AgreementResults:
    """Everything that is read from a store once.

    Parameters
    ----------
    design : Design
    info : DataInfo
    store : Store
    """

    def __init__(self, design: Design, info: DataInfo, store: Store) -> None:
        self.design = design
        self.info = info
        self.store = store
        self._plan = Plan(design, info, store)

    @cached_property
    def _read(self) -> list[tuple[Proxy, list[Scores]]]:
        """The experiments of every proxy; none where its samples are not picked yet."""
        proxies = self.design.proxies(self.info.n_train)
        return [(proxy, list(self._plan.scores_on(proxy))) for proxy in proxies]

    @cached_property
    def _done(self) -> dict[str, Any]:
        return {key: one.result for key, one in self.store.results(Scores.kind).items()}

    @property
    def machines(self) -> list[dict[str, Any]]:
        """What each training that is done ran on."""
        return [one["machine"] for one in self._done.values() if one]

    @cached_property
    def _seconds_of_selections(self) -> dict[str, float]:
        done = self.store.results(Selection.kind)
        return {key: float(one.result["seconds"]) for key, one in done.items() if one.result}

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """Names of configurations of which a training has failed; they are left out everywhere."""
        failed = {one.key for one in self.store.failures()}
        names = {
            name
            for _, experiments in self._read
            for one in experiments
            if one.key in failed
            for name in one.specification["configurations"]
        }
        return tuple(name for name in self.design.names if name in names)

    @cached_property
    def failed_samplers(self) -> tuple[str, ...]:
        """Labels of samplers of which a pass has failed; what they would pick is nowhere."""
        failed = {one.key for one in self.store.failures()}
        passes = self._plan.selections().experiments
        return tuple(dict.fromkeys(one.sampler.label for one in passes if one.key in failed))

    @cached_property
    def compared(self) -> IntArray:
        """Places of the configurations that are compared."""
        kept = [place for place, name in enumerate(self.design.names) if name not in self.failed]
        return np.array(kept, dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """Names of the configurations that are compared."""
        return [self.design.names[place] for place in self.compared]

    @cached_property
    def trained(self) -> list[Trained]:
        """The proxies on which every compared configuration has been trained, in their order."""
        tried = (self._trained(*one) for one in self._distinct)
        return [one for one in tried if one is not None]

    @cached_property
    def _distinct(self) -> list[tuple[Proxy, list[Scores]]]:
        """Proxies with their trainings; a sampler that picks the same samples again counts once."""
        found: dict[tuple[Any, ...], tuple[Proxy, list[Scores]]] = {}
        for proxy, experiments in self._read:
            named = (proxy.sampler and proxy.sampler.identity, proxy.r, proxy.budget)
            keys = [one.key for one in experiments] or [str(proxy.proxy_seed)]
            found.setdefault((*named, *keys), (proxy, experiments))
        return list(found.values())

    def _trained(self, proxy: Proxy, experiments: Sequence[Scores]) -> Trained | None:
        scores: dict[str, float] = {}
        seconds, n_kept = 0.0, 0
        for one in experiments:
            result = self._done.get(one.key)
            if result is not None:
                names = one.specification["configurations"]
                if len(result["scores"]) != len(names):
                    raise InputError(
                        f"{self.store.path} is damaged: {len(result['scores'])} scores stand for "
                        f"{len(names)} configurations"
                    )
                scores |= dict(zip(names, result["scores"], strict=True))
                seconds += result["seconds"]
                n_kept = result["n_kept"]
        if not n_kept or not scores.keys() >= set(self.names):
            return None
        scoring = None
        if proxy.sampler is not None:
            key = Selection.of(self.design, self.info, proxy.sampler, proxy.proxy_seed).key
            scoring = self._seconds_of_selections.get(key)
        listed = np.array([scores[name] for name in self.names])
        return Trained(proxy, n_kept, listed, seconds, scoring)

    @property
    def n_done(self) -> tuple[int, int]:
        """How many proxies are done, and how many there are."""
        return len(self.trained), len(self._distinct)

    @cached_property
    def known(self) -> dict[str, FloatArray]:
        """Scores that are known from elsewhere, of the compared configurations."""
        return self._of_compared(self.design.known)

    @cached_property
    def estimates(self) -> dict[str, FloatArray]:
        """What was said of the compared configurations without training, by name."""
        # A store gives them back in this order.
        return self._of_compared(dict(sorted(self.design.estimates.items())))

    def _of_compared(self, scores: Mapping[str, Sequence[float]]) -> dict[str, FloatArray]:
        return {name: np.array(one)[self.compared] for name, one in scores.items()}

    @property
    def n_compared(self) -> int:
        """How many rows are compared with class-random sampling, done or not."""
        samplers = [one for one in self.design.samplers if not is_rival(one)]
        cuts = sum(len(self.design.sizes_of(one, self.info.n_train)) for one in samplers)
        return max(1, cuts * len(self.design.budgets))

    @cached_property
    def _counts(self) -> IntArray:
        return statistics.resamples(len(self.compared), N_RESAMPLES, SEED_OF_RESAMPLES)

    @cached_property
    def rows(self) -> list[Row]:
        """A row for each reference and proxy: the ceiling first, then by budget, r and sampler.

        Raises
        ------
        InputError
            If too few configurations are left to be compared.
        """
        if len(self.compared) < statistics.LEAST:
            raise InputError(
                f"trainings of {len(self.failed)} of {len(self.design.names)} "
                f"{self.design.noun}s have failed, which leaves no order to agree on; the first "
                f"error was: {self.store.failures()[0].error}"
            )
        full = [one for one in self.trained if one.proxy.sampler is None]
        reference = next((one for one in full if one.proxy.seed == self.design.seeds[0]), None)
        rows = []
        if reference is not None:
            others = [one for one in full if one is not reference]
            rows += self._rows_against(FULL, reference.scores, others, self.estimates)
        for name, scores in list(self.known.items())[:1]:
            rows += self._rows_against(name, scores, full, self.known | self.estimates)
        return rows

    def _rows_against(
        self,
        reference: str,
        scores: FloatArray,
        ceiling: Sequence[Trained],
        known: Mapping[str, FloatArray],
    ) -> list[Row]:
        table = _Against(self, reference, scores, ceiling)
        rows = [table.of_known(name, one) for name, one in known.items() if name != reference]
        if ceiling:
            label = "Full DS, another seed" if reference == FULL else "Full DS"
            rows.append(table.row(label, None, "", 1.0, ceiling))
        for budget in self.design.budgets:
            groups: dict[tuple[float, str], list[Trained]] = {}
            for one in self.trained:
                if one.proxy.sampler is not None and one.proxy.budget == budget:
                    named = (-one.proxy.r, one.proxy.sampler.identity)
                    groups.setdefault(named, []).append(one)
            # Stable: the samplers of an r stay in their order.
            for _, draws in sorted(groups.items(), key=lambda item: item[0][0]):
                sampler = draws[0].proxy.sampler
                assert sampler is not None
                r = draws[0].proxy.r
                rows.append(table.row(sampler.label, sampler, budget, r, draws))
        return rows


class _Against:
    """Rows against one reference, all on the same resamples."""

    def __init__(
        self,
        results: AgreementResults,
        name: str,
        scores: FloatArray,
        ceiling: Sequence[Trained],
    ) -> None:
        self.results = results
        self.name = name
        self.scores = scores
        self.counts = results._counts
        self.k = statistics.largest_k(len(scores))
        self.ceiling = self._taus([one.scores for one in ceiling]) if ceiling else None
        self.full_seconds = _mean(one.seconds for one in ceiling) if ceiling else None

    def row(
        self,
        method: str,
        sampler: Component | None,
        budget: str,
        r: float,
        draws: Sequence[Trained],
    ) -> Row:
        tau, resampled = self._taus([one.scores for one in draws])
        rival = self._rival(budget, r, sampler) if sampler is not None else None
        ceiling = self.ceiling if sampler is not None else None
        n_compared = self.results.n_compared
        seconds = _mean(one.seconds for one in draws)
        scoring = [one.scoring_seconds for one in draws if one.scoring_seconds is not None]
        to_rival = None if rival is None else tau - rival[0]
        plain = None if rival is None else statistics.interval(resampled - rival[1])
        return Row(
            reference=self.name,
            method=method,
            sampler=sampler,
            budget=budget,
            r=r,
            n_kept=draws[0].n_kept,
            n_draws=len(draws),
            **self._measures([one.scores for one in draws]),
            to_rival=to_rival,
            to_rival_interval=plain,
            to_rival_after_all=(
                None
                if to_rival is None or plain is None
                else statistics.corrected(to_rival, plain, n_compared)
            ),
            to_ceiling=None if ceiling is None else tau - ceiling[0],
            to_ceiling_interval=(
                None if ceiling is None else statistics.interval(resampled - ceiling[1])
            ),
            seconds=seconds,
            share=None if not self.full_seconds else seconds / self.full_seconds,
            scoring_seconds=_mean(scoring) if scoring else None,
            n=draws[0].proxy.n,
        )

    def of_known(self, name: str, scores: FloatArray) -> Row:
        """Compare scores that are known with the reference, which are known too."""
        return Row(
            reference=self.name,
            method=name,
            sampler=None,
            budget="",
            r=1.0,
            n_kept=None,
            n_draws=1,
            **self._measures([scores]),
        )

    def _measures(self, draws: Sequence[FloatArray]) -> dict[str, Any]:
        """Give what a row says of its agreement: means over the draws."""
        reference = self.scores
        rho = [statistics.resampled_spearman(one, reference, self.counts) for one in draws]
        tau, resampled = self._taus(draws)
        return {
            "tau": tau,
            "tau_interval": statistics.interval(resampled),
            "taus": tuple(statistics.kendall_tau(one, reference) for one in draws),
            "spearman": _mean(statistics.spearman(one, reference) for one in draws),
            "spearman_interval": statistics.interval(np.mean(rho, axis=0)),
            "k": self.k,
            "overlap": _mean(statistics.top_k_overlap(one, reference, self.k) for one in draws),
            "regret": _mean(statistics.regret(one, reference) for one in draws),
        }

    def _taus(self, draws: Sequence[FloatArray]) -> tuple[float, FloatArray]:
        """Give the mean tau of some draws, and that of every resample."""
        found = [statistics.kendall_tau(one, self.scores) for one in draws]
        resampled = [statistics.resampled_tau(one, self.scores, self.counts) for one in draws]
        return _mean(found), np.mean(resampled, axis=0)

    def _rival(self, budget: str, r: float, sampler: Component) -> tuple[float, FloatArray] | None:
        """Give the taus of class-random sampling at the same r and budget; None for itself."""
        draws = [
            one.scores
            for one in self.results.trained
            if one.proxy.sampler is not None
            and is_rival(one.proxy.sampler)
            and (one.proxy.budget, one.proxy.r) == (budget, r)
        ]
        return self._taus(draws) if draws and not is_rival(sampler) else None


def is_rival(sampler: Component) -> bool:
    """Whether a sampler is plain class-random sampling."""
    return sampler.name == RIVAL and not sampler.parameters


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
