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

# Draws of one generator: part of what a seed stands for.
DRAWS_PER_BLOCK = 1_000

# Rows whose distances bound how far the rows nearest to a point are.
SAMPLED_ROWS = 2_000


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
    """Draws points in pairs of features, and tells which row covers each.

    Distances from a point to all rows are computed in the features' own precision, and only as far
    as it takes to list rows that may count, by bounds on what that rounds; those of the rows listed
    are then computed in double precision, so that it decides.
    """

    def __init__(self, columns: Array, ranges: Array, n_neighbours: int) -> None:
        working = np.result_type(columns.dtype, np.float32)
        self._columns = columns.astype(working, copy=False)
        self._ranges = ranges.astype(np.float64)
        self._n_neighbours = n_neighbours
        limits = np.finfo(working)
        # A point, a difference and a sum are rounded: much less than this for each feature.
        self._rounding = 16 * float(limits.eps) * np.abs(self._ranges).max(axis=1)
        self._rounding += 16 * float(limits.tiny)
        n_rows = columns.shape[1]
        self._step = max(1, n_rows // SAMPLED_ROWS)
        share = (n_neighbours + 1) / n_rows
        n_sampled = len(range(0, n_rows, self._step))
        above = share * n_sampled + 4 * (share * n_sampled) ** 0.5
        self._place = min(int(above) + 1, n_sampled - 1)

    def draw(self, n_draws: int, random: np.random.Generator) -> FloatArray:
        n_features, n_rows = self._columns.shape
        scores = np.zeros(n_rows)
        # Written to again and again, so that they stay in a core's cache.
        buffers = np.empty((2, n_rows), dtype=self._columns.dtype)
        for _ in range(n_draws):
            chosen = random.choice(n_features, min(N_DIMENSIONS, n_features), replace=False)
            columns = [self._columns[feature] for feature in chosen]
            point = [_triangular(self._ranges[feature], random) for feature in chosen]
            rounding = float(self._rounding[chosen].sum())
            found = _roughly(columns, point, buffers)
            least = float(found.min())
            near = np.flatnonzero(found <= least + 2 * rounding)
            if len(near) > 1:
                near = near[np.argmin(_distances(columns, near, point)), np.newaxis]
            nearest = int(near[0])
            scores[nearest] += 1
            if self._n_neighbours:
                # None of the rows nearest to that one is farther from the point than so much more.
                listed = self._listed(found, 2 * least + 4 * rounding)
                self._take_from_redundant(scores, nearest, columns, listed)
        return scores

    def _listed(self, found: Array, more: float) -> IntArray:
        """List the rows nearest to a point, and all that are farther by no more than `more`."""
        n_wanted = self._n_neighbours + 1
        if n_wanted == len(found):
            return np.arange(n_wanted)
        # A bound from a part of the rows does, where it holds for enough of all.
        bound = np.partition(found[:: self._step], self._place)[self._place]
        listed = np.flatnonzero(found <= bound + more)
        if np.count_nonzero(found[listed] <= bound) < n_wanted:
            bound = np.partition(found, n_wanted - 1)[n_wanted - 1]
            listed = np.flatnonzero(found <= bound + more)
        return listed

    def _take_from_redundant(
        self, scores: FloatArray, nearest: int, columns: list[Array], listed: IntArray
    ) -> None:
        others = listed[listed != nearest]
        apart = _distances(columns, others, [float(column[nearest]) for column in columns])
        if len(others) > self._n_neighbours:
            # Of those that are equally far, the first.
            last = np.partition(apart, self._n_neighbours - 1)[self._n_neighbours - 1]
            chosen = apart < last
            n_left = self._n_neighbours - np.count_nonzero(chosen)
            chosen[np.flatnonzero(apart == last)[:n_left]] = True
            others, apart = others[chosen], apart[chosen]
        least = float(apart.min())
        # Shares of the nearest one's, so that no power overflows.
        shares = (apart == 0).astype(np.float64) if least == 0 else _to_fourth(least / apart)
        scores[others] -= shares / shares.sum()


def _roughly(columns: list[Array], point: list[float], buffers: Array) -> Array:
    """Compute the distances of all rows from a point, in the columns' precision."""
    found: Array = buffers[0]
    other: Array = buffers[1]
    for number, (column, value) in enumerate(zip(columns, point, strict=True)):
        into = other if number else found
        np.subtract(column, column.dtype.type(value), out=into)
        np.abs(into, out=into)
    if len(columns) > 1:
        found += other
    return found


def _distances(columns: list[Array], rows: IntArray, point: list[float]) -> FloatArray:
    """Compute the distances of some rows from a point."""
    total = np.zeros(len(rows))
    for column, value in zip(columns, point, strict=True):
        total += np.abs(column[rows] - np.float64(value))
    return total


def _to_fourth(values: FloatArray) -> FloatArray:
    # Several times as fast as a power.
    squares = values * values
    return squares * squares


def _triangular(spread: FloatArray, random: np.random.Generator) -> float:
    least, middle, most = spread
    return float(random.triangular(least, middle, most)) if least < most else float(least)
