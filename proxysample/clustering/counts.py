"""Help for choosing K: what several numbers of clusters come to on a sample of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from proxysample.clustering.backends import Backend
from proxysample.clustering.kmeans import Clustering, cluster
from proxysample.clustering.sizes import count_clusters, measure_to_counted
from proxysample.errors import InputError, MissingDependencyError
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import principal_components
from proxysample.keeping import FloatArray
from proxysample.rendering import NUMBER, PERCENT, Column, Section, Table, to_markdown

if TYPE_CHECKING:
    from pandas import DataFrame

USUAL_COUNTS = (2, 5, 10, 20, 50, 100, 150, 200)
# Of the usual counts those are tried that leave so many samples a cluster.
LEAST_MEAN_SIZE = 8

SAMPLED_ROWS = 10_000
KEPT_COMPONENTS = 64

# A count is suggested where no larger share of the samples lies in small clusters, and where its
# seeds agree as well as those of any, to within so much.
MOST_IN_SMALL = 0.05
AS_GOOD = 0.05


@dataclass(frozen=True)
class ClusterCount:
    """What one number of clusters comes to.

    Attributes
    ----------
    n_clusters : int
    inertia : float
        Sum of the distances squared, mean over seeds, as a share of that about one centroid.
    small_clusters : float
        Share of the clusters that are too small to be a measure, mean over seeds.
    in_small : float
        Share of the samples in these.
    agreement : float
        How far two seeds keep the same samples: 1 for the same, 0 for no more than by chance.
    """

    n_clusters: int
    inertia: float
    small_clusters: float
    in_small: float
    agreement: float


@dataclass(frozen=True)
class ClusterCounts:
    """What several numbers of clusters come to; print it as a table.

    Attributes
    ----------
    counts : tuple of ClusterCount
    suggested : int
        The largest whose seeds agree to within 0.05 of the best, among those with at most 5 % of
        the samples in small clusters; without such, that with the fewest there.
    n_samples : int
        How many samples it was tried on.
    r : float
        Fraction kept, for the agreement.
    n_seeds : int
    """

    counts: tuple[ClusterCount, ...]
    suggested: int
    n_samples: int
    r: float
    n_seeds: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be said beneath the table."""
        return (
            f"{self.n_seeds} seeds on {self.n_samples:,} samples, one start each",
            f"agreement of the sets kept at r={self.r:g} by two seeds: 1 the same, 0 by chance",
            f"suggested: n_clusters={self.suggested}; a count whose clusters are large and whose "
            "seeds agree, which does not say that its subset trains best",
        )

    def __str__(self) -> str:
        table = Table("", COLUMNS, (Section("", self.counts),), self.notes)
        return "\n".join([to_markdown(table), "", *table.notes])

    def to_frame(self) -> DataFrame:
        """Give one line for each count.

        Returns
        -------
        pandas.DataFrame
            The attributes of `ClusterCount` as columns.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError(
                "pandas is not installed, and a frame needs it: pip install 'proxysample[pandas]'"
            ) from error
        return pd.DataFrame([asdict(count) for count in self.counts])


COLUMNS: tuple[Column[ClusterCount], ...] = (
    Column("clusters", NUMBER, lambda count: count.n_clusters),
    Column("inertia", PERCENT, lambda count: count.inertia),
    Column("small clusters", PERCENT, lambda count: count.small_clusters),
    Column("samples in these", PERCENT, lambda count: count.in_small),
    Column("agreement", NUMBER, lambda count: round(count.agreement, 3)),
)


def usual_counts(n_samples: int) -> tuple[int, ...]:
    """Give the numbers of clusters to try for so many samples."""
    return tuple(count for count in USUAL_COUNTS if count * LEAST_MEAN_SIZE <= n_samples)


def check_counts(candidates: Sequence[int], n_samples: int) -> None:
    """Raise `InputError` for numbers of clusters that so many samples do not have."""
    if not candidates:
        raise InputError(
            f"{n_samples} samples are too few to compare numbers of clusters; give candidates"
        )
    if max(candidates) > n_samples:
        raise InputError(
            f"n_clusters={max(candidates)} among the candidates for {n_samples} samples; leave "
            "out the large ones or give more samples"
        )


def compare_counts(
    rows: Rows,
    candidates: Sequence[int],
    *,
    r: float,
    n_seeds: int,
    min_cluster_size: int | None,
    backend: Backend,
    device: str,
    spherical: bool,
    random: np.random.Generator,
    workers: Workers,
) -> ClusterCounts:
    """Try several numbers of clusters, each from several seeds.

    At most `SAMPLED_ROWS` rows are clustered, on at most `KEPT_COMPONENTS` principal components,
    so that the cost does not grow with the dataset beyond reading it.
    """
    some = _sample(rows, max(SAMPLED_ROWS, max(candidates)), random, workers)
    # One cluster is exact from any seed.
    whole = cluster(some, 1, n_init=1, spherical=spherical, random_state=random, workers=workers)

    def run(n_clusters: int) -> Clustering:
        return cluster(
            some,
            n_clusters,
            n_init=1,
            backend=backend,
            device=device,
            spherical=spherical,
            random_state=random,
            workers=workers,
        )

    counts = []
    for n_clusters in sorted(set(candidates)):
        tried = [
            _try(run(n_clusters), min_cluster_size, spherical, workers) for _ in range(n_seeds)
        ]
        inertia = float(np.mean([one.inertia for one in tried]))
        counts.append(
            ClusterCount(
                n_clusters,
                inertia / whole.inertia if whole.inertia else 0.0,
                float(np.mean([one.n_small for one in tried])) / n_clusters,
                float(np.mean([one.n_in_small for one in tried])) / len(some),
                _agreement([one.scores for one in tried], r),
            )
        )
    return ClusterCounts(tuple(counts), _suggest(counts), len(some), r, n_seeds)


@dataclass(frozen=True)
class _Tried:
    inertia: float
    n_small: int
    n_in_small: int
    scores: FloatArray


def _try(
    clustering: Clustering,
    min_cluster_size: int | None,
    spherical: bool,
    workers: Workers,
) -> _Tried:
    squares = clustering.distances if spherical else np.square(clustering.distances)
    sizes = count_clusters(clustering, squares, min_cluster_size)
    _, scores = measure_to_counted(clustering, sizes.counted, spherical=spherical, workers=workers)
    return _Tried(clustering.inertia, sizes.n_small, sizes.n_samples_in_small, scores)


def _sample(rows: Rows, size: int, random: np.random.Generator, workers: Workers) -> Rows:
    if len(rows) > size:
        rows = rows.at(np.sort(random.choice(len(rows), size, replace=False, shuffle=False)))
    if rows.n_features <= 2 * KEPT_COMPONENTS or len(rows) <= KEPT_COMPONENTS:
        return rows
    at_hand = rows.cached(workers)
    return at_hand.projected(principal_components(at_hand, KEPT_COMPONENTS, workers))


def _agreement(scores: Sequence[FloatArray], r: float) -> float:
    """Compare the sets that each pair of scores keeps, and take off what chance gives."""
    n_samples = len(scores[0])
    n_kept = max(1, round(r * n_samples))
    kept = [np.argsort(one, kind="stable")[:n_kept] for one in scores]
    shared = [len(np.intersect1d(one, other)) / n_kept for one, other in combinations(kept, 2)]
    by_chance = n_kept / n_samples
    return float((np.mean(shared) - by_chance) / (1 - by_chance)) if by_chance < 1 else 1.0


def _suggest(counts: Sequence[ClusterCount]) -> int:
    sound = [count for count in counts if count.in_small <= MOST_IN_SMALL]
    if not sound:
        return min(counts, key=lambda count: count.in_small).n_clusters
    best = max(count.agreement for count in sound)
    return max(count.n_clusters for count in sound if count.agreement >= best - AS_GOOD)
