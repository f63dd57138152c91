from __future__ import annotations

import pytest

from proxysample import InputError
from proxysample_nas.searchers import list_searchers
from proxysample_nas.study import PRESETS, preset
from proxysample_nas.study.configuration import settings_of
from proxysample_nas.study.results import PAPERS_ORDER


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_study_whose_settings_all_differ(name):
    configuration = preset(name)
    labels = [
        (setting.label, setting.searcher.label) for setting in settings_of(configuration, 50_000)
    ]
    assert len(set(labels)) == len(labels)
    assert configuration == type(configuration).from_json(configuration.to_json())


def test_the_papers_study_has_roughly_1400_experiments():
    configuration = preset("paper")
    n_searches = len(settings_of(configuration, 50_000))
    # Section 4.2: 11 sampling methods at 3 ratios, 4 searchers and a baseline for each.
    assert n_searches == 11 * 3 * 4 + 4
    n_trainings = len(configuration.channels) * len(configuration.seeds)
    assert len(configuration.samplers) + n_searches * (1 + n_trainings) == 1371
    assert configuration.architecture_data == "test-half"
    searchers = [configuration.create_searcher(one) for one in configuration.searchers]
    assert [one.get_params()["n_nodes"] for one in searchers] == [5] * 4
    assert [one.get_params()["epochs"] for one in searchers] == [50, 50, 250, 250]


def test_digits_has_the_papers_samplers_and_the_papers_searchers():
    configuration = preset("digits")
    assert sorted(one.name for one in configuration.samplers) == sorted(PAPERS_ORDER)
    searchers = {one.name for one in configuration.searchers}
    assert searchers == set(list_searchers()) - {"random", "zero-cost"}


def test_a_setting_of_ones_own_wins():
    assert preset("digits-demo", n_train=100, channels=(4,)).channels == (4,)
    with pytest.raises(InputError, match="did you mean 'digits'"):
        preset("digit")


def test_a_misspelt_setting_is_refused():
    with pytest.raises(InputError, match="did you mean 'channels'"):
        preset("digits-demo", chanels=(4,))
