"""Features that single precision cannot hold or tell apart, on every backend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from proxysample import CCOutlierRemoval, InputError, KMeansOutlierRemoval
from proxysample.clustering import BACKENDS, cluster, cluster_from_random_starts
from proxysample.clustering.backends import refine_by_scikit_learn
from proxysample.clustering.engines import NumpyEngine
from proxysample.features.rows import Rows, Workers

pytestmark = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")

N_GROUPS = 4
IMAGES = np.zeros((80, 2, 2), dtype=np.uint8)


def groups(seed: int = 0, n_rows: int = 80, n_features: int = 3) -> np.ndarray:
    """Rows in well separated groups, whose best clustering any sound start finds."""
    generator = np.random.default_rng(seed)
    middles = 10 * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, -1, -1]])[:, :n_features]
    members = np.arange(n_rows) % N_GROUPS
    return middles[members] + generator.normal(0, 0.3, (n_rows, n_features))


def with_one(value: float) -> np.ndarray:
    features = groups()
    features[5, 1] = value
    return features


HARD = {
    "one value of 1e7": with_one(1e7),
    "one value of -1e8": with_one(-1e8),
    "one value beyond float32": with_one(1e60),
    "tiny": groups() * 1e-25,
    "squares vanish": groups() * 1e-200,
    "denormal": groups() * 1e-312,
    "huge": groups() * 1e30,
    "beyond float32": groups() * 1e120,
    "far off": groups() + 1e8,
    "far off, one huge": with_one(1e7) + 1e8,
    "columns of other scales": groups() * [1e8, 1e8, 1e-20],
    "a huge constant column": np.c_[groups(), np.full(80, 1e38)],
    "tight": groups() * np.array([1e4, 1e4, 1e4]) + groups(1) * 1e-3,
    "float16 near its limit": (groups() * 4000).astype(np.float16),
    "float32 near its limit": (groups() * 1e37).astype(np.float32),
    "large integers": (groups() * 1000).astype(np.int64) + 2**52,
    "unsigned integers": (groups() * 1000 + 1e5).astype(np.uint64),
}


def best_inertia(features: np.ndarray, n_clusters: int) -> float:
    """Scikit-learn's in float64, about the median and in a unit in which squares exist."""
    wide = features.astype(np.float64)
    wide = wide - np.median(wide, axis=0)
    # Huge values apart: scikit-learn takes the mean off, and with it the digits of the others.
    far = np.abs(wide).max(axis=1) > 1e4 * np.median(np.abs(wide).max(axis=1))
    wide, n_clusters = wide[~far], n_clusters - int(far.sum())
    unit = np.abs(wide).max()
    fitted = KMeans(n_clusters, n_init=10, tol=0, random_state=0).fit(wide / unit)
    return float(fitted.inertia_ * unit**2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", HARD)
def test_hard_features_give_scikit_learns_inertia_in_float64(name, backend):
    features = HARD[name]
    n_clusters = N_GROUPS + name.count("one ")
    sampler = KMeansOutlierRemoval(
        n_clusters=n_clusters,
        features=features,
        backend=backend,
        device="cpu",
        n_init=8,
        min_cluster_size=1,
        random_state=0,
    ).fit(IMAGES)
    expected = best_inertia(features, n_clusters)
    # Squares of the smallest vanish in the sum; the distances themselves do not.
    unit = np.abs(features.astype(np.float64) - np.median(features, axis=0)).max()
    if unit < 1e-100:
        expected = best_inertia(features / unit, n_clusters)
        found = np.square(sampler.scores_ / unit).sum()
    else:
        found = sampler.inertia_
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["one value of 1e7", "tiny", "beyond float32"])
def test_hard_features_give_scikit_learns_inertia_in_the_papers_protocol(name):
    features = HARD[name]
    n_clusters = N_GROUPS + name.count("one ")
    sampler = KMeansOutlierRemoval(
        n_clusters=n_clusters, features=features, protocol="paper", n_init=60, random_state=0
    ).fit(IMAGES)
    assert sampler.inertia_ == pytest.approx(best_inertia(features, n_clusters), rel=1e-3)


@settings(max_examples=25)
@given(
    st.integers(0, 1000),
    st.sampled_from([name for name in BACKENDS if name != "auto"]),
    st.floats(-300, 130).map(lambda exponent: 10.0**exponent),
    st.sampled_from([0.0, 1e3, 1e7, -1e9]),
    st.sampled_from([0.0, 1.0, 1e6]),
)
def test_units_offsets_and_one_far_value_do_not_matter(seed, backend, unit, far, offset):
    plain = groups(seed, 40)
    features = plain.copy()
    features[7, 0] += far
    expected = KMeans(N_GROUPS, n_init=5, tol=0, random_state=0).fit(plain[np.arange(40) != 7])
    sampler = KMeansOutlierRemoval(
        n_clusters=N_GROUPS + (far != 0),
        features=(features + offset) * unit,
        backend=backend,
        device="cpu",
        n_init=8,
        min_cluster_size=1,
        random_state=0,
    ).fit(IMAGES[:40])
    others = np.delete(sampler.cluster_labels_, 7)
    same = expected.labels_[:, None] == expected.labels_[None]
    assert np.array_equal(others[:, None] == others[None], same)
    if far:
        assert np.square(sampler.scores_ / unit).sum() == pytest.approx(expected.inertia_, rel=1e-3)


def test_ordinary_features_stay_in_single_precision():
    sampler = KMeansOutlierRemoval(n_clusters=2, features=groups(), random_state=0).fit(IMAGES)
    assert sampler.precision_ == "float32"
    assert "computed in: float32" in str(sampler.report(IMAGES, 0.5))
    sampler = KMeansOutlierRemoval(n_clusters=5, features=with_one(1e7), random_state=0)
    assert "computed in: float64" in str(sampler.report(IMAGES, 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_given_centers_are_met_in_double_precision_too(backend):
    features = with_one(1e9)
    start = features[[0, 1, 2, 3, 5]]
    with Workers(2) as workers:
        found = cluster(Rows(features), 5, centers=start, backend=backend, workers=workers)
    assert found.precision == "float64"
    members = np.arange(80) % N_GROUPS
    members[5] = 4
    assert found.labels.tolist() == members.tolist()
    assert found.centers[4] == pytest.approx(features[5], rel=1e-12)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (groups().astype(np.int64) + 2**60, r"integers beyond 2\*\*53.*subtract"),
        (groups().astype(np.uint64) + 2**63, r"integers beyond 2\*\*53.*subtract"),
        (groups() * 1e145, "beyond 1e[+]140, whose squares .* divide all"),
        (-np.abs(groups()) * 1e145, "beyond 1e[+]140, whose squares .* divide all"),
    ],
)
def test_what_double_precision_cannot_hold_is_refused(source, message):
    labels = np.arange(80) % 2
    for sampler in (
        KMeansOutlierRemoval(n_clusters=3, features=source),
        KMeansOutlierRemoval(n_clusters=3),
        CCOutlierRemoval(),
    ):
        dataset = IMAGES if getattr(sampler, "features", None) is source else source
        with pytest.raises(InputError, match=message):
            sampler.fit(dataset, labels)


@pytest.mark.parametrize("unit", [1e-200, 1e-25, 1.0, 1e60])
def test_class_distances_do_not_depend_on_the_unit(unit):
    features, labels = groups(), np.arange(80) % 2
    expected = CCOutlierRemoval().fit(features, labels).scores_
    found = CCOutlierRemoval().fit(features * unit, labels).scores_
    assert found / unit == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-25, 1e100])
def test_standardised_features_do_not_depend_on_the_unit(unit):
    features = groups()
    expected = KMeansOutlierRemoval(n_clusters=4, random_state=0).fit(features).scores_
    found = KMeansOutlierRemoval(n_clusters=4, random_state=0).fit(features * unit).scores_
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e60])
def test_principal_components_do_not_depend_on_the_unit(unit):
    features = np.random.default_rng(0).normal(size=(80, 6)) * [1e8, 1e8, 1, 1, 1e-3, 1e-3]
    # Turned, so that each feature holds some of all of them.
    features = features @ np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    centred = features - features.mean(axis=0)
    sampler = KMeansOutlierRemoval(
        n_clusters=1, features=features * unit, n_components=4, min_cluster_size=1
    ).fit(IMAGES)
    values = np.linalg.svd(centred, compute_uv=False)[:4]
    found = np.square(sampler.scores_ / unit).sum()
    assert found == pytest.approx(np.square(values).sum(), rel=1e-6)
    sampler = KMeansOutlierRemoval(
        n_clusters=2, features=features * unit, n_components=4, min_cluster_size=1
    )
    with Workers(1) as workers:
        from proxysample.data.reading import Samples

        rows = sampler._rows(Samples(IMAGES), workers)
        projected = rows.read(slice(0, 80), np.float64) / unit
    # The third and fourth components are far below the digits of the first two.
    assert np.linalg.svd(projected, compute_uv=False) == pytest.approx(values, rel=1e-3)


# Whatever faiss would end the process for: the parent sees a negative exit status.
NASTY = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
from proxysample import InputError, KMeansOutlierRemoval
generator = np.random.default_rng(0)
plain = generator.normal(size=(40, 3))
def changed(value):
    features = plain.copy()
    features[3] = value
    return features
cases = [plain * unit for unit in (1e-320, 1e-44, 1e-30, 1e18, 1e19, 1e38, 1e39, 1e120)]
cases += [changed(value) for value in (1e19, 3e38, 1e39, -1e120, np.nan, np.inf, -np.inf)]
cases += [np.zeros((40, 3)), np.ones((40, 3)) * 1e30, np.repeat(plain[:1], 40, axis=0),
          np.repeat(plain[:2], 20, axis=0), (plain * 1e4).astype(np.float16),
          (plain * 1e38).astype(np.float32), plain.astype(np.int64) * 2**52, plain > 0,
          np.zeros((40, 0))]
refused = (12, 13, 14, 21, 23)
runs = ((5, "euclidean"), (40, "euclidean"), (41, "euclidean"), (5, "cosine"))
for number, features in enumerate(cases):
    for n_clusters, metric in runs:
        sampler = KMeansOutlierRemoval(
            n_clusters=n_clusters, features=features, backend="faiss", device="cpu", n_init=1,
            max_iter=5, metric=metric, random_state=0)
        try:
            assert np.isfinite(sampler.fit(np.zeros((40, 2, 2))).scores_).all()
        except InputError as error:
            assert n_clusters == 41 or metric == "cosine" or number in refused, error
print("alive")
"""


def test_faiss_never_ends_the_process(forked):
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    process = forked(NASTY)
    assert (process.wait(), process.stdout) == (0, "alive\n"), process.stderr[-2000:]


def test_random_starts_of_few_rows_are_those_of_all_features():
    """The tolerance of scikit-learn goes by the mean over features, of which few are left."""
    features = np.random.default_rng(0).normal(size=(60, 4000))
    features -= features.mean(axis=0)
    with Workers(2) as workers:
        found = cluster_from_random_starts(
            Rows(features), 6, n_init=3, random_state=0, workers=workers
        )
    seeds = np.random.default_rng(0).integers(2**32, size=3).tolist()
    expected = min(
        KMeans(6, init="random", n_init=1, random_state=seed).fit(features).inertia_
        for seed in seeds
    )
    assert found.inertia == pytest.approx(expected, rel=1e-9)


def test_scikit_learn_goes_by_the_share_of_its_tolerance():
    features = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    with Workers(1) as workers:
        strict, loose = (
            refine_by_scikit_learn(
                Rows(features),
                features[:9].astype(np.float64),
                max_iter=300,
                movement_share=share,
                workers=workers,
            ).n_iter
            for share in (1.0, 1e6)
        )
    assert loose < 3 < strict


def test_the_share_of_the_tolerance_is_that_of_the_features_that_are_left(monkeypatch):
    shares = []

    def spy(rows, n_clusters, *, movement_share, **parameters):
        shares.append((movement_share, rows.n_features))
        raise InterruptedError

    monkeypatch.setattr("proxysample.clustering.kmeans.best_random_start", spy)
    with Workers(1) as workers, pytest.raises(InterruptedError):
        cluster_from_random_starts(Rows(np.eye(30, 3000)), 3, n_init=1, workers=workers)
    assert shares == [(shares[0][1] / 3000, shares[0][1])]
    assert shares[0][1] <= 30


def test_a_cluster_of_many_rows_is_added_up_in_double_precision():
    """Rows about zero of which single precision, adding one by one, would lose the last digits."""
    n_rows = 1 << 17
    rows = np.full((n_rows, 2), 0.1, dtype=np.float32)
    rows[:, 1] = 1e-3
    with Workers() as workers:
        engine = NumpyEngine(Rows(rows, precision=np.float32), 1, workers)
        step = engine.step(np.zeros((1, 2)))
    expected = rows.astype(np.float64).sum(axis=0)
    assert step.sums.dtype == np.float64
    assert np.allclose(step.sums[0], expected, rtol=1e-12, atol=0)
    # What rows gain and lose as they move stays exact, too.
    with Workers() as workers:
        engine = NumpyEngine(Rows(rows, precision=np.float32), 2, workers)
        engine.step(np.array([[0.0, 0.0], [9.0, 9.0]]))
        step = engine.step(np.array([[9.0, 9.0], [0.0, 0.0]]))
    assert np.abs(step.sums[0]).max() < 1e-9 * expected.max()
    assert np.allclose(step.sums[1], expected, rtol=1e-12, atol=0)
