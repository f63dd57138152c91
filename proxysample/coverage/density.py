"""Difficulty that neighbours share (D2), and how much of a space a sample covers (ZCore)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from proxysample.coverage.groups import TIE, first_largest
from proxysample.features.rows import Array, Workers
from proxysample.keeping import FloatArray, IntArray


def d2_order(
    difficulty: FloatArray, neighbours: IntArray, distances: FloatArray, gamma: float = 1.0
) -> IntArray:
    """Order rows by difficulty and diversity, on the graph of their nearest neighbours.

    Each row gets its neighbours' difficulty, the less the farther they are. Then the row that has
    most comes next, and its neighbours lose what it has, the less the farther they are.

    Parameters
    ----------
    difficulty : ndarray of shape (n,), float64
        At least 0.
    neighbours : ndarray of shape (n, k), int64
    distances : ndarray of shape (n, k), float64
        See `proxysample.coverage.groups.nearest_neighbours`. Two rows are connected where one
        is a neighbour of the other.
    gamma : float
        How fast the loss fades with the distance.

    Returns
    -------
    ndarray of shape (n,), int64
        Ties to the lowest index.

    Notes
    -----
    A. Maharana, P. Yadav and M. Bansal, D2 Pruning: message passing for balancing diversity and
    difficulty in data pruning, ICLR 2024; with ``exp(-distance)`` as their code has it, not the
    square of the distance as the paper has it. Theirs cuts a fraction of the hardest samples first.

    Examples
    --------
    >>> neighbours, distances = np.array([[1], [0], [1]]), np.array([[0.0], [0.0], [5.0]])
    >>> d2_order(np.array([3.0, 2.0, 1.0]), neighbours, distances).tolist()
    [1, 2, 0]
    """
    n_rows = len(difficulty)
    edges = _edges(neighbours, distances)
    fading = sparse.csr_array((np.exp(-edges.data), edges.indices, edges.indptr), edges.shape)
    worth = difficulty + fading @ difficulty
    losses = np.exp(-gamma * edges.data)
    left = np.ones(n_rows, dtype=bool)
    tolerance = TIE * float(np.abs(worth).max(initial=0.0))
    order = np.empty(n_rows, dtype=np.int64)
    for place in range(n_rows):
        chosen = order[place] = first_largest(np.where(left, worth, -np.inf), tolerance)
        left[chosen] = False
        part = slice(edges.indptr[chosen], edges.indptr[chosen + 1])
        worth[edges.indices[part]] -= losses[part] * worth[chosen]
    return order


def _edges(neighbours: IntArray, distances: FloatArray) -> sparse.csr_array:
    """Connect rows both ways; distances of zero are kept."""
    n_rows, n_neighbours = neighbours.shape
    ends = np.repeat(np.arange(n_rows), n_neighbours), neighbours.ravel()
    pairs = np.concatenate([ends[0] * n_rows + ends[1], ends[1] * n_rows + ends[0]])
    pairs, first = np.unique(pairs, return_index=True)
    both = np.concatenate([distances.ravel()] * 2)[first]
    starts = np.searchsorted(pairs, np.arange(n_rows + 1) * n_rows)
    return sparse.csr_array((both, pairs % max(n_rows, 1), starts), (n_rows, n_rows))


DRAWS_PER_ROW = 10
MOST_DRAWS = 1_000_000
N_DIMENSIONS = 2
N_REDUNDANT = 1_000
FADING = 4

# Draws of one generator: part of what a seed stands for.
DRAWS_PER_BLOCK = 1_000


def zcore_scores(
    features: Array,
    *,
    n_draws: int | None = None,
    n_neighbours: int = N_REDUNDANT,
    random_state: int | np.random.Generator | None = None,
    workers: Workers,
) -> FloatArray:
    """Score rows by how much of the space they cover that others do not.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Finite.
    n_draws : int, optional
        By default ten a row, and a million at most.
    n_neighbours : int
        Rows that count as redundant beside one that covers a point.
    random_state : int, Generator or None
        Seed of the draws.
    workers : Workers

    Returns
    -------
    ndarray of shape (n,), float64
        High covers much and repeats little.

    Notes
    -----
    Each draw takes two features and a point in them, triangular between the least, the median and
    the greatest value of each. The nearest row gains 1, and the rows nearest to that one lose 1 in
    all, each by the inverse fourth power of its distance; distances add absolute differences. Those
    that are not apart from it at all share the loss (B. A. Griffin, J. Marks and J. J. Corso,
    Zero-shot coreset selection, 2024). Theirs adds a random start between 0 and 1.

    Examples
    --------
    >>> features = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    >>> with Workers() as workers:
    ...     scores = zcore_scores(features, n_draws=500, random_state=0, workers=workers)
    >>> bool(scores[:2].mean() < scores[2:].min())
    True
    """
    n_rows = len(features)
    total = min(DRAWS_PER_ROW * n_rows, MOST_DRAWS) if n_draws is None else n_draws
    columns = np.ascontiguousarray(features.T)
    ranges = np.stack([columns.min(axis=1), np.median(columns, axis=1), columns.max(axis=1)], 1)
    counts = [min(DRAWS_PER_BLOCK, total - at) for at in range(0, total, DRAWS_PER_BLOCK)]
    generators = np.random.default_rng(random_state).spawn(len(counts))
    space = _Space(columns, ranges, min(n_neighbours, n_rows - 1))
    scores = np.zeros(n_rows)
    for part in workers.map(lambda item: space.draw(*item), zip(counts, generators, strict=True)):
        scores += part
    return scores


class _Space:
    """Draws points in pairs of features, and tells which row covers each."""

    def __init__(self, columns: Array, ranges: Array, n_neighbours: int) -> None:
        self._columns = columns
        self._ranges = ranges.astype(np.float64)
        self._n_neighbours = n_neighbours

    def draw(self, n_draws: int, random: np.random.Generator) -> FloatArray:
        scores = np.zeros(self._columns.shape[1])
        n_features = len(self._columns)
        for _ in range(n_draws):
            chosen = random.choice(n_features, min(N_DIMENSIONS, n_features), replace=False)
            columns = self._columns[chosen]
            point = [_triangular(self._ranges[feature], random) for feature in chosen]
            nearest = int(np.argmin(_distances(columns, np.array(point))))
            scores[nearest] += 1
            if self._n_neighbours:
                self._take_from_redundant(scores, nearest, columns)
        return scores

    def _take_from_redundant(self, scores: FloatArray, nearest: int, columns: Array) -> None:
        distances = _distances(columns, columns[:, nearest].astype(np.float64))
        distances[nearest] = np.inf
        redundant = np.argpartition(distances, self._n_neighbours - 1)[: self._n_neighbours]
        apart = distances[redundant]
        least = float(apart.min())
        # Shares of the nearest one's, so that no power overflows.
        shares = (apart == 0).astype(np.float64) if least == 0 else (least / apart) ** FADING
        scores[redundant] -= shares / shares.sum()


def _distances(columns: Array, point: FloatArray) -> FloatArray:
    distances: FloatArray = np.abs(columns - point[:, np.newaxis]).sum(axis=0)
    return distances


def _triangular(spread: FloatArray, random: np.random.Generator) -> float:
    least, middle, most = spread
    return float(random.triangular(least, middle, most)) if least < most else float(least)
