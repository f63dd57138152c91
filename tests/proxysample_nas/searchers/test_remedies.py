"""What a collapse is told by, and which remedies are offered against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch.utils.data import Subset

from proxysample_nas.searchers import EpochRecord, SearchCollapseWarning

from .prepared import small_search


@pytest.fixture(scope="module")
def proxy(digits: Any) -> Any:
    return Subset(digits.train, range(100))


@pytest.mark.usefixtures("begun_collapsed")
@pytest.mark.parametrize(
    ("name", "changes", "remedies"),
    [
        (
            "darts-v1",
            {},
            "beta_regularization=50, stop_at_skips or stop_when_stable, "
            'selection="perturbation", fewer epochs. The',
        ),
        (
            "darts-v2",
            {"beta_regularization": 1.0, "selection": "perturbation", "perturbation_epochs": 1},
            ": stop_at_skips or stop_when_stable, fewer epochs. The",
        ),
        ("gdas", {"stop_at_skips": 3}, ": beta_regularization=50, fewer epochs. The"),
    ],
)
def test_the_warning_names_the_remedies_that_are_left(
    name: str,
    changes: dict[str, Any],
    remedies: str,
    proxy: Any,
) -> None:
    with pytest.warns(SearchCollapseWarning) as caught:
        small_search(name, **changes).search(proxy)
    message = str(caught[0].message)
    assert "after epoch 1, 3 of 3 edges are skip connections" in message
    assert remedies in message


def without_times(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(one, seconds=0.0) for one in history]


@pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")
@pytest.mark.parametrize("name", ["darts-v1", "darts-v2", "gdas"])
def test_gradient_searches_never_read_running_statistics(name: str, proxy: Any) -> None:
    """So that doing without them is no remedy for these, as their documentation says."""
    kept, done_without = (
        small_search(name, track_running_stats=track).search(proxy).history
        for track in (True, False)
    )
    assert without_times(kept) == without_times(done_without)
