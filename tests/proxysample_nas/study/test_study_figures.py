from __future__ import annotations

import csv
import io
import statistics

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, FancyArrowPatch, Wedge

from proxysample import InputError
from proxysample.figures import save_figure
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, get_operation
from proxysample_nas.study.reports.cell_figures import (
    edge_distributions,
    edge_distributions_to_csv,
    parameter_free_cells,
)
from proxysample_nas.study.reports.figures import FIGURES, draw_figure, save_figures

from .written_store import write_results

CONVOLUTIONS = Cell.from_string("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|")
MIXED = Cell.from_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|")
SKIPS = Cell.filled("skip_connect", n_nodes=3)
CUT = Cell.filled("none", n_nodes=3)
GDAS, DARTS = "gdas:n_nodes=3", "darts-v1:n_nodes=3"


@pytest.fixture
def results(tmp_path):
    """Two samplers, two ratios and two search seeds of two searchers."""

    def found(setting, seed):
        if setting.searcher.name == "darts-v1" and setting.r == 0.25:
            return None
        cell = (CONVOLUTIONS, MIXED)[seed] if setting.r == 1 else (SKIPS, CONVOLUTIONS)[seed]
        return (cell, 100.0 * setting.r + 10 * seed)

    accuracies = {CONVOLUTIONS: [70.0], MIXED: [60.0], SKIPS: [20.0]}
    return write_results(
        tmp_path,
        found,
        lambda cell, channels: [accuracies[cell][0] + channels],
        searchers=[GDAS, DARTS],
        samplers=["rs", "cc-or"],
        ratios=[0.5, 0.25],
        search_seeds=[0, 1],
        seeds=[7],
        channels=[4, 8],
    )


@pytest.fixture
def nothing(tmp_path):
    return write_results(tmp_path, lambda setting, seed: None, lambda *_: [], searchers=[GDAS])


def points(axes):
    """Every marked point of a panel."""
    return sorted(
        (round(float(x), 3), float(y)) for drawn in axes.collections for x, y in _offsets(drawn)
    )


def _offsets(drawn):
    # Error bars are collections of lines, which have no points.
    return drawn.get_offsets() if hasattr(drawn, "get_sizes") else []


def test_every_search_is_a_point_of_its_own(results):
    figure = draw_figure(results, "time-and-accuracy")
    relative, _, seconds, _, accuracy, _ = figure.axes
    for axes in (relative, seconds, accuracy):
        drawn = points(axes)
        assert len(drawn) == 10  # the full data and four proxies, twice each
        assert len(set(drawn)) == 10
    # r=1 takes 100 and 110 s, r=0.5 takes 50 and 60 s on both samplers.
    assert seconds.get_ylabel() == "search time, s"
    assert sorted(y for _, y in points(seconds)) == [25, 25, 35, 35, 50, 50, 60, 60, 100, 110]
    whole = sorted(y for x, y in points(relative) if x > 0.9)
    assert whole == pytest.approx([100 / 1.05, 110 / 1.05])
    # The widest network's: 8 channels.
    assert {y for _, y in points(accuracy)} == {78.0, 68.0, 28.0}


def test_equal_searches_do_not_hide_one_another(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: (SKIPS, 5.0),
        lambda *_: [50.0],
        searchers=[GDAS],
        samplers=["rs", "cc-or"],
        search_seeds=[0, 1, 2],
        seeds=[7],
    )
    for axes in draw_figure(results, "time-and-accuracy").axes:
        drawn = points(axes)
        assert len(drawn) == len(set(drawn)) == 9


def test_long_times_are_in_hours(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: (SKIPS, 72_000.0 * setting.r),
        lambda *_: [50.0],
        searchers=[GDAS],
    )
    axes = draw_figure(results, "time-and-accuracy").axes[1]
    assert axes.get_ylabel() == "search time, h"
    assert sorted(y for _, y in points(axes)) == [10, 20]


def test_a_line_for_each_sampler_is_mean_and_deviation_over_the_searches(results):
    accuracy = draw_figure(results, "time-and-accuracy").axes[4]
    # One for the full data, and one for each sampler, which leads to the full data's mean.
    full, *of_samplers = [container.lines for container in accuracy.containers]
    assert full[0].get_xydata().tolist() == [[1.0, 73.0]]
    assert len(of_samplers) == 2
    for line, _, (bars,) in of_samplers:
        assert line.get_ydata().tolist() == [53.0, 53.0, 73.0]
        assert line.get_xdata()[-1] == 1.0
        low, high = bars.get_segments()[0][:, 1]
        assert high - low == pytest.approx(2 * statistics.stdev([28.0, 78.0]))


def test_a_panel_without_searches_at_an_r_leaves_it_out(results):
    darts = draw_figure(results, "time-and-accuracy").axes[5]
    assert len(points(darts)) == 6
    assert min(x for x, _ in points(darts)) > 0.3


def test_pies_count_operations_edge_by_edge(results):
    distributions = edge_distributions(results)
    assert [(one.searcher.name, one.r, len(one.cells)) for one in distributions] == [
        ("gdas", 1.0, 2),
        ("gdas", 0.5, 4),
        ("gdas", 0.25, 4),
        ("darts-v1", 1.0, 2),
        ("darts-v1", 0.5, 4),
    ]
    assert distributions[1].edges == ((0, 1), (0, 2), (1, 2))
    assert distributions[1].counts == [
        {"skip_connect": 2, "nor_conv_3x3": 2},
        {"skip_connect": 2, "nor_conv_1x1": 2},
        {"skip_connect": 4},
    ]


def test_the_csv_is_the_pies(results):
    lines = list(csv.DictReader(io.StringIO(edge_distributions_to_csv(results))))
    assert len(lines) == 5 * 3 * len(NAS_BENCH_201)
    first = [line for line in lines if (line["r"], line["edge"]) == ("1.0", "2")][:5]
    shares = {line["operation"]: float(line["probability"]) for line in first}
    assert shares == {
        "nor_conv_3x3": 0,
        "nor_conv_1x1": 0.5,
        "skip_connect": 0,
        "avg_pool_3x3": 0.5,
        "none": 0,
    }
    assert {(line["source"], line["target"], line["n_cells"]) for line in first} == {
        ("0", "2", "2")
    }


def test_wedges_have_the_angles_and_colours_of_the_counts(results):
    axes = draw_figure(results, "edge-distribution").axes
    assert len(axes) == 6
    full = axes[0]
    angles = {
        (patch.center, to_hex(patch.get_facecolor())): patch.theta2 - patch.theta1
        for patch in full.patches
        if isinstance(patch, Wedge)
    }
    assert angles == {
        ((0, 2), get_operation("nor_conv_1x1").colour): 180,
        ((0, 2), get_operation("avg_pool_3x3").colour): 180,
        ((1, 2), get_operation("skip_connect").colour): 180,
        ((1, 2), get_operation("none").colour): 180,
    }
    # One operation alone is a whole disc.
    discs = [patch for patch in full.patches if isinstance(patch, Circle)]
    assert [(disc.center, to_hex(disc.get_facecolor())) for disc in discs] == [
        ((0, 1), get_operation("nor_conv_3x3").colour)
    ]
    assert [text.get_text() for text in full.texts] == [
        "0\N{RIGHTWARDS ARROW}1, n=2",
        "0\N{RIGHTWARDS ARROW}2, n=2",
        "1\N{RIGHTWARDS ARROW}2, n=2",
    ]
    titles = [one.get_title() for one in axes[:3]]
    assert titles == ["full data", "r=0.5", "r=0.25"]
    assert [axes[0].get_ylabel(), axes[3].get_ylabel()] == ["GDAS", "DARTS-V1"]
    assert not axes[5].patches  # not searched


def test_the_best_cells_are_drawn_with_where_they_were_found(results):
    axes = draw_figure(results, "best-cells").axes
    assert [one.get_title() for one in axes] == [
        "Unsupervised: 78.0 %\nGDAS on RS, r=0.5, seed 1",
        "Supervised: 78.0 %\nGDAS on CC-OR, r=0.5, seed 1",
    ]
    drawn = [
        to_hex(patch.get_edgecolor())
        for patch in axes[0].patches
        if isinstance(patch, FancyArrowPatch)
    ]
    assert drawn == [get_operation(name).colour for name in CONVOLUTIONS.operations]


def test_cells_without_parameters_are_counted(results):
    findings = parameter_free_cells(results)
    # Seed 0 of two samplers: two ratios of GDAS, one of DARTS. And the convolution of the other
    # cell leads nowhere.
    assert [(one.cell, len(one.found_by)) for one in findings] == [(SKIPS, 6), (MIXED, 2)]
    axes = draw_figure(results, "parameter-free-cells").axes
    assert [one.get_title() for one in axes] == [
        "GDAS on RS, r=0.5, seed 0\nand 5 more",
        "GDAS on full data, r=1, seed 1\nand 1 more",
    ]
    caption = FIGURES["parameter-free-cells"].caption(results)
    assert caption.startswith("8 of 16 searches ended in a cell without a convolution")
    assert "no such path" not in caption


def test_disconnected_cells_are_told_apart_from_collapsed_ones(tmp_path):
    results = write_results(
        tmp_path, lambda setting, seed: (CUT, 1.0), lambda *_: [10.0], searchers=[GDAS], seeds=[7]
    )
    caption = FIGURES["parameter-free-cells"].caption(results)
    assert caption.endswith("1 distinct cell. 2 of them have no such path at all.")


def test_one_cut_cell_is_written_in_the_singular(tmp_path):
    def find(setting, seed):
        return (CUT if setting.sampler is None else SKIPS, 1.0)

    results = write_results(tmp_path, find, lambda *_: [10.0], searchers=[GDAS], seeds=[7])
    caption = FIGURES["parameter-free-cells"].caption(results)
    assert caption.endswith("2 distinct cells. 1 of them has no such path at all.")


def of_one_searcher(folder, samplers):
    """Cells for every figure."""
    return write_results(
        folder,
        lambda setting, seed: (CONVOLUTIONS if setting.sampler else SKIPS, 1.0),
        lambda *_: [50.0],
        searchers=[GDAS],
        samplers=samplers,
        seeds=[7],
    )


def test_files_are_the_same_bytes_for_the_same_results(results, tmp_path):
    study, *folders = (tmp_path / name for name in ("study", "first", "second"))
    study.mkdir()
    small = of_one_searcher(study, ["rs"])
    for folder in folders:
        folder.mkdir()
        saved, missing = save_figures(small, folder)
        assert list(saved) == list(FIGURES)
        assert not missing
    for first in folders[0].iterdir():
        assert first.read_bytes() == (folders[1] / first.name).read_bytes(), first.name
    # A layout that had not come to rest would move with each drawing.
    figure = draw_figure(results, "best-cells")
    drawn = [tmp_path / f"{number}.svg" for number in range(3)]
    for path in drawn:
        save_figure(figure, path)
        assert path.read_bytes() == drawn[0].read_bytes()
    svg = (folders[0] / "edge-distribution.svg").read_text()
    assert all(operation.label in svg for operation in NAS_BENCH_201)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Six samplers with long names, and one searcher."""
    long_names = [f"km-or:n_clusters={k},protocol=paper" for k in (50, 100, 150)]
    folder = tmp_path_factory.mktemp("crowded")
    return of_one_searcher(folder, [*long_names, "cc-or", "cc-rs", "rs"])


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_stands_outside_the_figure(crowded, name):
    figure = draw_figure(crowded, name)
    renderer = FigureCanvasAgg(figure).get_renderer()
    whole = figure.bbox
    parts = [*figure.legends, *(axes.title for axes in figure.axes)]
    parts += [text for axes in figure.axes for text in axes.texts]
    for part in parts:
        box = part.get_window_extent(renderer)
        assert box.width == 0 or (whole.x0 <= box.x0 and box.x1 <= whole.x1), part
        assert box.height == 0 or (whole.y0 <= box.y0 and box.y1 <= whole.y1), part


def test_drawing_leaves_pyplot_alone(results):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    draw_figure(results, "edge-distribution")
    assert plt.get_fignums() == before


@pytest.mark.parametrize("name", FIGURES)
def test_without_searches_there_is_nothing_to_draw(nothing, name):
    with pytest.raises(InputError, match="no "):
        draw_figure(nothing, name)


def test_an_unknown_figure_is_refused(nothing):
    with pytest.raises(InputError, match="did you mean 'best-cells'"):
        draw_figure(nothing, "best-cell")
