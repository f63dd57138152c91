from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from proxysample import (
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    KMeansOutlierRemoval,
    RandomSampling,
    Resampler,
)
from proxysample.testing import small_digits

DIGITS = small_digits(200)
X = DIGITS.images.reshape(200, -1) / 255
Y = DIGITS.targets


def test_it_keeps_what_the_sampler_selects():
    resampler = Resampler(CCOutlierRemoval(), r=0.25)
    X_kept, y_kept = resampler.fit_resample(X, Y)
    expected = CCOutlierRemoval().select(X, 0.25, Y)
    assert np.array_equal(resampler.sample_indices_, expected)
    assert np.array_equal(X_kept, X[expected])
    assert np.array_equal(y_kept, Y[expected])
    assert not hasattr(resampler.sampler, "ranking_")


def test_a_sampler_resamples_by_itself():
    sampler = CCOutlierRemoval()
    X_kept, y_kept = sampler.fit_resample(X, Y, n=40, balance="equal")
    assert X_kept.shape == (40, 64)
    assert np.bincount(y_kept).tolist() == [4] * 10
    assert np.array_equal(sampler.sample_indices_, sampler.ranking_.select(n=40, balance="equal"))
    with pytest.raises(InputError, match="give r, the fraction to keep"):
        sampler.fit_resample(X, Y)


def test_each_kind_of_data_stays_what_it_is():
    pandas = pytest.importorskip("pandas")
    import torch

    resampler = Resampler(RandomSampling(random_state=0), n=20)
    frame, series = resampler.fit_resample(pandas.DataFrame(X), pandas.Series(Y))
    assert (type(frame).__name__, type(series).__name__) == ("DataFrame", "Series")
    assert frame.index.tolist() == series.index.tolist() == resampler.sample_indices_.tolist()
    tensor, labels = resampler.fit_resample(torch.from_numpy(X), Y.tolist())
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(labels, list)
    subset, nothing = resampler.fit_resample(DIGITS)
    assert isinstance(subset, torch.utils.data.Subset)
    assert nothing is None


def test_parameters_are_set_and_cloned_as_an_estimators():
    resampler = Resampler(KMeansOutlierRemoval(n_clusters=5), r=0.5)
    copy = clone(resampler).set_params(r=None, n=7, sampler__n_clusters=9)
    assert (copy.n, copy.sampler.n_clusters) == (7, 9)
    assert (resampler.r, resampler.sampler.n_clusters) == (0.5, 5)
    with pytest.raises(InputError, match=r"must be a proxysample.Sampler"):
        Resampler("km-or", r=0.5).fit(X)


@pytest.mark.filterwarnings("ignore")
def test_it_is_a_step_of_a_pipeline_and_a_point_of_a_grid():
    pipeline = pytest.importorskip(
        "imblearn.pipeline", reason="imbalanced-learn is not installed"
    ).Pipeline
    steps = pipeline(
        [
            ("keep", Resampler(CCRandomSampling(random_state=0), r=0.5)),
            ("classify", LogisticRegression(max_iter=200)),
        ]
    )
    fitted = clone(steps).fit(X, Y)
    assert len(fitted.named_steps["keep"].sample_indices_) == 100
    assert fitted.predict(X).shape == (200,)
    grid = GridSearchCV(
        steps, {"keep__r": [0.2, 1.0], "keep__sampler__protocol": ["default"]}, cv=2
    )
    grid.fit(X, Y)
    assert grid.best_params_["keep__r"] == 1.0


def test_sparse_rows_are_taken():
    from proxysample.data.tables import take_pair

    kept, _ = take_pair(sparse.csr_array(X), None, np.array([3, 5]))
    assert np.array_equal(kept.toarray(), X[[3, 5]])


def test_what_a_step_of_a_pipeline_needs_is_named():
    with pytest.raises(InputError, match=r"Resampler\(sampler, r=0\.25\)"):
        CCOutlierRemoval().fit_resample(X, Y)
    with pytest.raises(InputError, match=r"make one by create_sampler\('cc-or'\)"):
        Resampler("cc-or", r=0.5).fit_resample(X, Y)
