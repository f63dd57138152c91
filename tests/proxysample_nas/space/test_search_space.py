"""Max pooling and a 5x5 convolution, added by public calls alone: searched, evaluated, drawn,
kept and reported."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch
from sklearn.base import clone
from torch.utils.data import Subset

from proxysample import InputError, load_dataset, register
from proxysample_nas import (
    Cell,
    CellTrainer,
    Operation,
    SearchResult,
    SearchSpace,
    Study,
    StudyConfiguration,
    create_searcher,
    list_searchers,
)
from proxysample_nas.drawing import draw_figure, save_drawing
from proxysample_nas.space.operations import OPERATIONS
from proxysample_nas.study.experiments.evaluation import trial_cells

from ...forked import Forked

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

MAX_POOL = Operation(
    "max_pool_3x3",
    "pool",
    "#56b4e9",
    "3x3 Max",
    builder=lambda channels, affine, track: torch.nn.MaxPool2d(3, stride=1, padding=1),
)
CONVOLUTION = Operation("nor_conv_5x5", "convolution", "#cc79a7", "5x5 Conv", kernel_size=5)

BOTH = "nas-bench-201+max_pool_3x3+nor_conv_5x5"
ONLY_THESE = ["max_pool_3x3", "nor_conv_5x5"]
COMMON: dict[str, Any] = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 2,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
OWN: dict[str, dict[str, Any]] = {
    "enas": {"controller_updates": 2, "controller_samples": 2, "n_candidates": 3},
    "random": {"n_samples": 2},
}
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, OWN.get(name, {})) for name in list_searchers() if name != "zero-cost"},
    "gdas, paper": ("gdas", {"protocol": "paper"}),
    "enas, paper": ("enas", OWN["enas"] | {"protocol": "paper"}),
    "perturbation": ("darts-v1", {"selection": "perturbation", "perturbation_epochs": 1}),
    "held off": ("darts-v1", {"beta_regularization": 50.0, "stop_when_stable": 1}),
    "bfloat16": ("darts-v1", {"precision": "bfloat16"}),
}
every_search = pytest.mark.parametrize("search", SEARCHES)


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    for operation in (MAX_POOL, CONVOLUTION):
        register(operation)
    yield
    for operation in (MAX_POOL, CONVOLUTION):
        OPERATIONS.unregister(operation.name)


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits")


def run(digits: Any, search: str, **changes: Any) -> SearchResult:
    name, own = SEARCHES[search]
    checkpoint = changes.pop("checkpoint", None)
    searcher = create_searcher(name, **(COMMON | own | changes))
    train, validation = Subset(digits.train, range(64)), Subset(digits.test, range(60))
    return searcher.search(train, validation, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def whole(digits: Any) -> dict[str, Any]:
    return run(digits, "perturbation", space=BOTH, epochs=1).to_dict()


@every_search
def test_every_search_finds_a_cell_of_the_space(search: str, digits: Any, tmp_path: Path) -> None:
    result = run(digits, search, space=ONLY_THESE, checkpoint=tmp_path / "search.safetensors")
    assert set(result.cell.operations) <= set(ONLY_THESE)
    assert result.space == SearchSpace(ONLY_THESE)
    for record in result.history:
        assert all(len(row) == 2 for row in record.architecture_weights)
        assert set(record.cell.operations) <= set(ONLY_THESE)
    result.save(tmp_path / "result.json")
    assert SearchResult.load(tmp_path / "result.json") == result
    again = run(digits, search, space=ONLY_THESE, checkpoint=tmp_path / "search.safetensors")
    assert again.cell == result.cell


@every_search
def test_a_larger_space_is_searched_whole(search: str, digits: Any) -> None:
    result = run(digits, search, space=BOTH, epochs=1)
    rows = [row for record in result.history for row in record.architecture_weights]
    assert all(len(row) == 7 for row in rows)
    assert all(sum(row) == pytest.approx(1) for row in rows)
    assert all(min(row) > 0 for row in rows)


def test_a_search_in_another_space_goes_on_where_it_was_killed(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxysample_nas.searchers.checkpoint import Checkpoint

    whole = run(digits, "perturbation", space=BOTH)
    save = Checkpoint.save
    n_saved = 0

    def save_and_die(self: Checkpoint, path: Path) -> None:
        nonlocal n_saved
        save(self, path)
        n_saved += 1
        # Two epochs, and the first of three edges.
        if n_saved == 3:
            raise KeyboardInterrupt

    path = tmp_path / "search.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            run(digits, "perturbation", space=BOTH, checkpoint=path)
    resumed = run(digits, "perturbation", space=BOTH, checkpoint=path)
    assert resumed.cell == whole.cell
    assert whole.final_choice is not None
    assert resumed.final_choice is not None
    decisions = zip(resumed.final_choice.decisions, whole.final_choice.decisions, strict=True)
    for one, other in decisions:
        assert (one.edge, one.operation, one.losses) == (other.edge, other.operation, other.losses)
        assert len(one.losses) == 7
    with pytest.raises(InputError, match=r"differing: space=None \(checkpoint: \['none', 'skip"):
        run(digits, "perturbation", checkpoint=path)


@pytest.mark.parametrize(
    "space",
    ["nas-bench-201", SearchSpace.of("nas-bench-201"), list(SearchSpace.of("nas-bench-201"))],
)
def test_the_default_space_leaves_keys_as_they_were(space: Any) -> None:
    for name in list_searchers():
        given = create_searcher(name, space=space)
        assert given.parameters_as_json() == create_searcher(name).parameters_as_json()
        assert "space" not in given.parameters_as_json()


@pytest.mark.parametrize(
    "make", [str, SearchSpace.of, lambda text: SearchSpace.of(text).operations]
)
def test_another_space_is_told_by_the_names_of_its_operations(make: Any) -> None:
    space = make(BOTH)
    searcher = create_searcher("gdas", space=space)
    assert clone(searcher).parameters_as_json() == searcher.parameters_as_json()
    assert searcher.parameters_as_json()["space"] == list(SearchSpace.of(space).operations)


@pytest.mark.parametrize("name", list_searchers())
def test_an_unknown_operation_is_refused_before_a_search(name: str) -> None:
    with pytest.raises(
        InputError, match="unknown operation 'max_pol'; did you mean 'max_pool_3x3'"
    ):
        create_searcher(name, space="nas-bench-201+max_pol").check_parameters()


@pytest.mark.parametrize("search", ["darts-v1", "perturbation"])
def test_what_is_kept_needs_its_operations_to_be_registered(
    search: str, digits: Any, tmp_path: Path
) -> None:
    path = tmp_path / "search.safetensors"
    result = run(digits, search, space=BOTH, epochs=1, checkpoint=path)
    result.save(tmp_path / "result.json")
    OPERATIONS.unregister("max_pool_3x3")
    try:
        for read in (
            lambda: SearchResult.load(tmp_path / "result.json"),
            lambda: run(digits, search, epochs=1, checkpoint=path),
        ):
            with pytest.raises(InputError, match=r"unknown operation 'max_pool_3x3'.* registered"):
                read()
    finally:
        register(MAX_POOL)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values["facts"]["parameters"].pop("space"), "7 numbers for the 5 operat"),
        (lambda values: values["facts"]["parameters"].update(space=5), "list of operations"),
        (lambda values: values["facts"]["parameters"].update(space=[[]]), "unknown operation"),
        (
            lambda values: values["selection"]["decisions"][0]["losses"].pop(),
            "6 numbers for the 7 operations of an edge",
        ),
        (
            lambda values: values["selection"]["decisions"][0].update(operation="sep_conv"),
            "'sep_conv' is not in the search space",
        ),
    ],
)
def test_a_damaged_result_is_refused(damage: Any, message: str, whole: dict[str, Any]) -> None:
    values = deepcopy(whole)
    damage(values)
    with pytest.raises(InputError, match=message):
        SearchResult.from_dict(values)


def test_a_found_cell_is_trained_from_scratch(digits: Any) -> None:
    cell = Cell.from_string("|nor_conv_5x5~0|+|max_pool_3x3~0|skip_connect~1|")
    trainer = CellTrainer(channels=2, cells_per_stage=1, epochs=1, seeds=(7, 8), progress=False)
    train, test = Subset(digits.train, range(64)), Subset(digits.test, range(50))
    evaluation = trainer.evaluate(cell, train, test)
    assert [run.cell for run in evaluation.runs] == [cell, cell]
    assert trainer.evaluate(cell, train, test).accuracies == evaluation.accuracies
    # One 5x5 convolution and its BatchNorm in each of three cells, beside the skeleton.
    bare = Cell.filled("skip_connect", n_nodes=3).network(10, channels=2, cells_per_stage=1)
    n_bare = sum(weight.numel() for weight in bare.parameters()) - 2 * 2 * 9
    inside = sum(25 * width**2 + 2 * width for width in (2, 4, 8))
    assert evaluation.runs[0].n_parameters == n_bare + inside


def test_a_found_cell_is_drawn_with_its_own_legend(tmp_path: Path) -> None:
    cell = Cell.from_string("|nor_conv_5x5~0|+|max_pool_3x3~0|skip_connect~1|")
    axes = draw_figure(cell).axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert [to_hex(arrow.get_edgecolor()) for arrow in arrows] == ["#cc79a7", "#56b4e9", "#0072b2"]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["5x5 Conv", "3x3 Conv", "1x1 Conv", "Skip", "3x3 Avg", "3x3 Max", "Zero"]
    save_drawing(cell, tmp_path / "cell.svg", space=SearchSpace([*ONLY_THESE, "skip_connect"]))
    drawn = (tmp_path / "cell.svg").read_text()
    assert "5x5 Conv" in drawn
    assert "3x3 Max" in drawn
    assert "3x3 Conv" not in drawn


def words(space: str) -> str:
    return f"darts-v1:n_nodes=3,channels=2,cells_per_stage=1,epochs=1,batch_size=32,space={space}"


def test_a_study_in_another_space_is_run_and_reported(
    tiny_settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other forms of the figures show the same.
    monkeypatch.setattr("proxysample_nas.study.reports.figures.SUFFIXES", ("svg",))
    searchers = [words("max_pool_3x3+nor_conv_5x5"), words(BOTH)]
    study = Study(**tiny_settings(searchers=searchers), folder=tmp_path)
    assert study.run(n_workers=1, progress=False) == 0
    labels = [one.label for one in study.configuration.searchers]
    cells = [one.cell for row in study.rows(labels[0]) for one in row.found]
    assert len(cells) == 2
    assert {name for cell in cells for name in cell.operations} <= set(ONLY_THESE)
    study.report()
    drawn = (tmp_path / "report" / "edge-distribution.svg").read_text()
    assert all(label in drawn for label in ("5x5 Conv", "3x3 Max", "3x3 Conv"))
    with (tmp_path / "report" / "edge-distribution.csv").open() as file:
        told = {(line["searcher"], line["operation"]): None for line in csv.DictReader(file)}
    assert [operation for _, operation in told] == [
        *("nor_conv_5x5", "max_pool_3x3"),
        *("nor_conv_5x5", "nor_conv_3x3", "nor_conv_1x1"),
        *("skip_connect", "avg_pool_3x3", "max_pool_3x3", "none"),
    ]


def test_an_estimate_times_cells_of_the_studied_spaces(tiny_settings: Any) -> None:
    def operations(*spaces: str) -> set[str]:
        settings = tiny_settings(searchers=[words(space) for space in spaces])
        cells = trial_cells(StudyConfiguration.build(**settings), n_cells=7)
        return {name for cell in cells for name in cell.operations}

    assert operations("max_pool_3x3+nor_conv_5x5") == set(ONLY_THESE)
    both = operations("max_pool_3x3+nor_conv_5x5", "skip_connect+nor_conv_1x1")
    assert both == {*ONLY_THESE, "skip_connect", "nor_conv_1x1"}


def test_published_accuracies_are_of_the_papers_operations_alone(
    tiny_settings: Any, tmp_path: Path
) -> None:
    settings = tiny_settings(
        searchers=[words(BOTH).replace("n_nodes=3", "n_nodes=4")],
        channels=[16],
        lookup={"path": "table.csv", "dataset": "cifar10", "epochs": 200},
    )
    with pytest.raises(InputError, match="max_pool_3x3 is no operation of NAS-Bench-201"):
        Study(**settings, folder=tmp_path)


def test_a_plug_in_brings_an_operation_to_the_command_line(
    forked: Callable[..., Forked], tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "wide_kernels.py").write_text(
        dedent("""
            from torch.nn import MaxPool2d

            from proxysample_nas import Operation

            CONVOLUTION = Operation(
                "nor_conv_7x7", "convolution", "#cc79a7", "7x7 Conv", kernel_size=7
            )
            MAX_POOL = Operation(
                "max_pool_7x7", "pool", "#56b4e9", builder=lambda *_: MaxPool2d(7, 1, 3)
            )
        """)
    )
    info = folder / "wide_kernels-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wide-kernels\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[proxysample.operations]\n"
        "nor_conv_7x7 = wide_kernels:CONVOLUTION\nmax_pool_7x7 = wide_kernels:MAX_POOL\n"
    )
    words = "search --dataset digits --searcher random --param n_samples=1 --param epochs=1"
    words += " --param n_nodes=5 --param channels=4 --param cells_per_stage=1"
    words += f" --param space=nor_conv_7x7+max_pool_7x7 --draw {tmp_path / 'cell.svg'}"
    done = forked(
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from proxysample_nas.cli import main; main()",
        *words.split(),
    )
    assert done.wait() == 0, done.stderr
    cell = done.stdout.splitlines()[-1]
    assert cell.count("nor_conv_7x7~") + cell.count("max_pool_7x7~") == 10
    drawn = (tmp_path / "cell.svg").read_text()
    assert "7x7 Conv" in drawn
    assert "3x3 Conv" not in drawn
