from __future__ import annotations

import dataclasses

import pytest

from proxysample_nas.paper import compare_with_paper, is_cifar100
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.presets import preset
from proxysample_nas.study.reports.results import setup_of

from .study.written_store import CIFAR100, DIGITS, HALF_OF_CIFAR100, IMAGENET16


def compared(info=HALF_OF_CIFAR100, **changed):
    settings = {
        "dataset": "data",
        "samplers": ["rs:protocol=paper", "tl:protocol=paper,backbone=resnet18.tv_in1k"],
        "searchers": ["gdas:protocol=paper"],
        "ratios": [0.5],
        "architecture_data": "test-half",
        "recipe": "paper",
    }
    configuration = StudyConfiguration.build(**(settings | changed))
    study = StudyInfo({configuration.dataset: info})
    return compare_with_paper(setup_of(configuration, study, configuration.searchers[0]))


def test_the_papers_setting_has_no_difference():
    comparison = compared()
    assert comparison.is_same_protocol
    assert comparison.table == 4
    assert not any(comparison.of_samplers.values())


@pytest.mark.parametrize(
    ("changed", "differences"),
    [
        (
            {"info": dataclasses.replace(HALF_OF_CIFAR100, n_train=10_000)},
            ["10,000 training images instead of 50,000"],
        ),
        ({"searchers": ["gdas:protocol=paper,n_nodes=4"]}, ["search n_nodes 4 instead of 5"]),
        ({"searchers": ["gdas:protocol=paper,epochs=9"]}, ["search epochs 9 instead of 250"]),
        (
            {"searchers": ["gdas:protocol=paper,space=none+nor_conv_3x3"]},
            ["search space none+nor_conv_3x3 instead of nas-bench-201"],
        ),
        ({"searchers": ["gdas:protocol=paper,space=nas-bench-201"]}, []),
        ({"recipe": "nas-bench-201"}, ["evaluation learning_rate 0.1 instead of 0.01"]),
        ({"training": {"epochs": 12}}, ["evaluation epochs 12 instead of 200"]),
        ({"training": {"epochs": 200}}, []),
        (
            {"searchers": ["gdas:protocol=paper,batch_size=32"]},
            ["search batch_size 32 instead of 64"],
        ),
        ({"training": {"batch_size": 64}}, ["evaluation batch_size 64 instead of 256"]),
        ({"seeds": [777]}, ["evaluation seeds 777 instead of 777, 888, 999"]),
        # How fast and from which seed is no setting.
        ({"searchers": ["gdas:protocol=paper,progress=false"]}, []),
        ({"search_seeds": [3, 4]}, []),
    ],
)
def test_every_difference_is_named(changed, differences):
    assert list(compared(**changed).common) == differences


def test_the_default_protocol_differs_in_search_data_and_recipe():
    comparison = compared(
        info=CIFAR100,
        searchers=["gdas"],
        samplers=["ae"],
        architecture_data="held-out",
        recipe="nas-bench-201",
    )
    assert comparison.common == (
        "architecture data held out of the training images instead of half of the test part",
        "search protocol default instead of paper",
        "evaluation learning_rate 0.1 instead of 0.01",
    )
    assert comparison.of_samplers == {"AE": ("protocol default instead of paper",)}


@pytest.mark.parametrize("sampler", ["rs", "cc-rs", "cc-or"])
def test_rounding_is_no_difference_where_nothing_is_rounded(sampler):
    assert compared(samplers=[sampler]).of_samplers == {sampler.upper(): ()}


def test_the_paper_preset_is_the_papers_setting():
    configuration = preset("paper")
    study = StudyInfo({configuration.dataset: HALF_OF_CIFAR100})
    for table, searcher in enumerate(configuration.searchers, start=1):
        comparison = compare_with_paper(setup_of(configuration, study, searcher))
        assert comparison.table == table
        assert comparison.is_same_protocol
        for label, differences in comparison.of_samplers.items():
            assert len(differences) == label.startswith("KM-OR"), label
        assert {label[:2] for label in comparison.other_methods} == {"AE", "TL"}
        assert all("keep=hard" in label for label in comparison.other_methods)


def test_mirrored_images_that_are_left_out_count_for_search_and_evaluation():
    common = compared(augmentation={"flip": False}).common
    assert [difference.split()[:2] for difference in common] == [
        ["search", "augmentation"],
        ["evaluation", "augmentation"],
    ]


def test_another_backbone_is_another_sampler():
    comparison = compared(samplers=["tl:protocol=paper"])
    (differences,) = comparison.of_samplers.values()
    assert differences == ("backbone tf_efficientnet_lite0 instead of resnet18.tv_in1k",)


@pytest.mark.parametrize("n_clusters", [50, 100])
def test_the_papers_number_of_clusters_is_never_taken_for_known(n_clusters):
    comparison = compared(samplers=[f"km-or:protocol=paper,n_clusters={n_clusters}"])
    (differences,) = comparison.of_samplers.values()
    assert len(differences) == 1
    assert "does not say" in differences[0]


def test_methods_that_the_paper_does_not_tabulate_are_told():
    comparison = compared(samplers=["ae:protocol=paper", "ae:protocol=paper,keep=hard"])
    assert comparison.other_methods == {"AE (protocol=paper, keep=hard)"}


def test_another_class_under_the_papers_id_is_not_the_papers_sampler():
    configuration = preset("paper")
    study = StudyInfo({configuration.dataset: HALF_OF_CIFAR100})
    setup = setup_of(configuration, study, configuration.searchers[0])
    label = next(iter(setup.samplers))
    ours = dataclasses.replace(setup.samplers[label], is_built_in=False)
    changed = dataclasses.replace(setup, samplers={**setup.samplers, label: ours})
    assert label not in compare_with_paper(setup).other_methods
    assert label in compare_with_paper(changed).other_methods


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"n_train": 2_000}, True),
        ({"n_classes": 10}, False),
        ({"image_shape": (16, 16, 3)}, False),
        ({"n_test": 5_000}, False),
        ({"n_test": 5_000, "split": "test half"}, True),
        ({"n_train": 60_000}, False),
    ],
)
def test_cifar100_is_told_by_its_shape(changed, expected):
    assert is_cifar100(dataclasses.replace(CIFAR100, **changed)) is expected


@pytest.mark.parametrize("info", [DIGITS, IMAGENET16])
def test_other_data_are_not_compared(info):
    assert compared(info=info) is None


def test_random_search_is_not_in_the_paper():
    assert compared(info=CIFAR100, searchers=["random"]) is None
