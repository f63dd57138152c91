"""Settings of a study that are easily given wrong, each refused by name before any work."""

from __future__ import annotations

from typing import Any

import pytest

from proxysample import InputError
from proxysample_nas.study import Component, Study
from proxysample_nas.study.configuration import StudyConfiguration

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "samplers": ["rs"],
    "ratios": [0.5],
    "searchers": ["random:n_nodes=4,n_samples=1"],
    "training": {"epochs": 1, "cells_per_stage": 1},
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        # One value in place of a list of them.
        ({"samplers": "cc-or"}, r"samplers=\['cc-or'\]"),
        ({"searchers": "gdas"}, r"searchers=\['gdas'\]"),
        ({"ratios": 0.5}, r"ratios=\[0.5\]"),
        ({"channels": 16}, r"channels=\[16\]"),
        ({"seeds": 777}, r"seeds=\[777\]"),
        ({"search_seeds": 0}, r"search_seeds=\[0\]"),
        ({"transfers": "npz:other.npz"}, r"transfers=\['npz:other.npz'\]"),
        ({"lookup": "nb201.csv"}, "'path': 'nb201.csv', 'dataset'"),
        # Values that the store would refuse to read back.
        ({"seeds": [-1]}, "seeds must be an integer from 0"),
        ({"seeds": [7, 7]}, "seeds has 7 twice"),
        ({"search_seeds": [0.5]}, "search_seeds must be .* integer"),
        ({"random_state": -1}, "random_state must be"),
        ({"random_state": None}, "random_state must be"),
        ({"n_train": "100"}, "n_train must be"),
        ({"dataset": 5}, "dataset must be"),
        ({"training": [1]}, "training must be a mapping"),
        # Parameters that a searcher would refuse only when it searches.
        ({"searchers": ["gdas:epochs=0"]}, "epochs must be a positive integer"),
        ({"searchers": ["gdas:architecture_fraction=2"]}, "strictly between 0 and 1, not 2"),
        ({"searchers": ["darts-v1:batch_size=x"]}, "batch_size must be"),
        ({"searchers": ["random:n_samples=0"]}, "n_samples must be"),
        # Parameters that a sampler would refuse only when it scores.
        ({"samplers": ["rs", "km-or:n_clusters=0"]}, "n_clusters must be a positive integer"),
        ({"samplers": ["rs", "cc-or:keep=best"]}, "unknown rule for keep 'best'"),
        ({"samplers": ["rs", "ae:progress=no"]}, "progress must be True or False"),
        ({"samplers": ["rs", "tl:device=gpu"]}, "device must be"),
        ({"searchers": ["gdas:device=gpu"]}, "device must be"),
        ({"training": {"device": "gpu"}}, "device must be"),
        # Names of other things.
        ({"samplers": [3]}, "by their ids, .* or as classes and instances of them, not 3"),
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"training": {"channels": 4}}, "channels has a setting of its own"),
        ({"training": {"seeds": [1]}}, "seeds has a setting of its own"),
        ({"augmentation": {"flips": False}}, "did you mean 'flip'"),
        ({"augmentation": {"flip": "no"}}, "flip must be True or False"),
        ({"transfers": ["npz:other.npz,epoch=3"]}, "did you mean 'epochs'"),
        ({"searchers": ["gdas:epochs=1,epochs=2"]}, "given twice"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Study(**SETTINGS | changed, folder=tmp_path / "study")


def test_settings_may_be_any_iterable(tmp_path):
    study = Study(**SETTINGS | {"search_seeds": range(2), "seeds": (n for n in (7, 8))})
    assert study.configuration.search_seeds == (0, 1)
    assert study.configuration.seeds == (7, 8)


def test_a_value_in_words_may_be_a_list():
    component = Component.parse("darts-v1:architecture_betas=[0.5,0.9],epochs=2")
    assert component.parameters == {"architecture_betas": [0.5, 0.9], "epochs": 2}


def test_values_in_words_may_be_spelt_as_in_python():
    component = Component.parse("darts-v1:track_running_stats=False,gradient_clip=None")
    assert component.parameters == {"track_running_stats": False, "gradient_clip": None}
    # A label is read back as it is written.
    words = component.label.partition("(")[2].strip(")").replace(", ", ",")
    assert Component.parse(f"darts-v1:{words}") == component


def test_a_study_is_read_on_a_machine_without_its_gpu():
    given = {
        "samplers": ["ae:device=cuda:99", "km-or:backend=torch,device=cuda:99"],
        "searchers": ["gdas:device=cuda:99"],
        "training": {"device": "cuda:99"},
    }
    configuration = StudyConfiguration.build(**SETTINGS | given)
    assert StudyConfiguration.from_json(configuration.to_json()) == configuration


def test_fewer_images_than_classes_are_refused(tmp_path):
    study = Study(**SETTINGS | {"n_train": 5}, folder=tmp_path)
    with pytest.raises(InputError, match="n_train=5 leaves 5 of 10 classes without an image"):
        study.run(progress=False)


@pytest.mark.parametrize("read", [Study.table, Study.results, Study.report])
def test_a_study_that_was_not_run_says_so_and_leaves_no_file(read, tmp_path):
    study = Study(**SETTINGS, folder=tmp_path)
    with pytest.raises(InputError, match="run one first"):
        read(study)
    assert not list(tmp_path.iterdir())
