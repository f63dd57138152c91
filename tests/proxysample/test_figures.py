"""Names of anyone's stand in figures as they are written, all of them."""

from __future__ import annotations

import pytest

from proxysample.errors import InputError
from proxysample.figures import (
    create_figure,
    legend_below,
    legend_label,
    save_figure,
    settle_layout,
)
from proxysample_nas import Cell, drawing
from proxysample_nas.space.operations import NAS_BENCH_201

NAMES = ("$x^2$", "$\\frac{", "_hidden", "a\x1b[31mb", "left\u202eright", "a\nb", "\udcff")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_figure_stands_for_itself(name, tmp_path):
    figure = create_figure(3, 3)
    axes = figure.add_subplot()
    axes.plot([1, 2], label=legend_label(name))
    axes.set_title(name)
    axes.set_xlabel(name)
    axes.text(0, 1, name)
    legend = axes.legend()
    figure.legend(*axes.get_legend_handles_labels())
    figure.suptitle(name)
    settle_layout(figure)
    (shown,) = (text.get_text() for text in legend.get_texts())
    assert shown.isprintable()
    assert shown.strip() == (name if name.isprintable() else ascii(name)[1:-1])
    assert axes.title.get_text().replace("\n", "").isprintable()
    assert not axes.title.get_parse_math()
    save_figure(figure, tmp_path / "a.png")


def places_after(lay_out):
    figure = create_figure(4, 3)
    for axes in figure.subplots(1, 2):
        axes.plot([1, 2])
        axes.set_aspect("equal")
        axes.set_title("one\ntwo")
    lay_out(figure)
    return [axes.get_position().bounds for axes in figure.axes]


def test_a_layout_has_come_to_where_four_drawings_bring_it():
    def draw(figure):
        for _ in range(4):
            figure.draw_without_rendering()

    assert places_after(settle_layout) == places_after(draw)


def test_the_numbers_of_a_logarithmic_axis_stay_powers():
    figure = create_figure(3, 3)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.plot([1e-3, 1e3], label="a")
    settle_layout(figure)
    assert any(label.get_parse_math() for label in axes.get_yticklabels())


def test_a_legend_of_long_names_is_as_wide_as_its_figure_at_most():
    figure = create_figure(6, 3)
    lines = [figure.add_subplot().plot([1, 2])[0] for _ in range(6)]
    legend_below(figure, lines, [f"HERDING (features=tf_efficientnet_lite0) {i}" for i in range(6)])
    settle_layout(figure)
    extent = figure.legends[0].get_window_extent()
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.x1


def test_a_cell_is_drawn_under_any_title():
    for name in NAMES:
        figure = drawing.draw_figure(Cell.filled("skip_connect", 3), name)
        legend = figure.axes[0].get_legend()
        assert len(legend.get_texts()) == len(NAS_BENCH_201)


def test_a_drawing_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="ends in"):
        save_figure(create_figure(1, 1), tmp_path / "a.exe")
