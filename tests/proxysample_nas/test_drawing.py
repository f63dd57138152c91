from __future__ import annotations

import sys

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch
from PIL import Image

from proxysample import InputError, MissingDependencyError
from proxysample_nas.drawing import draw_figure, save_drawing
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, get_operation

CELL = Cell.from_string(
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
)


def arrows(cell: Cell) -> list[FancyArrowPatch]:
    (axes,) = draw_figure(cell).axes
    return [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]


def test_every_edge_is_an_arrow_in_its_operations_colour():
    drawn = [to_hex(arrow.get_edgecolor()) for arrow in arrows(CELL)]
    assert drawn == [get_operation(name).colour for name in CELL.operations]


def test_arrows_lead_from_source_to_target():
    ends = [tuple(round(end[0]) for end in arrow._posA_posB) for arrow in arrows(CELL)]
    assert ends == [(source, target) for source, target, _ in CELL.edges]


def test_every_operation_has_a_colour_and_a_name_of_its_own():
    assert len({operation.colour for operation in NAS_BENCH_201}) == len(NAS_BENCH_201)
    assert len({operation.label for operation in NAS_BENCH_201}) == len(NAS_BENCH_201)


def test_the_legend_begins_with_what_learns_and_ends_with_nothing():
    (legend,) = [axes.get_legend() for axes in draw_figure(CELL).axes]
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["3x3 Conv", "1x1 Conv", "Skip", "3x3 Avg", "Zero"]


def test_the_legend_has_what_is_drawn_whatever_the_space():
    (axes,) = draw_figure(Cell.filled("nor_conv_1x1", 2), space="none+skip_connect").axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["1x1 Conv", "Skip", "Zero"]


def test_png_and_svg(tmp_path):
    for suffix in ("png", "svg"):
        save_drawing(CELL, tmp_path / f"cell.{suffix}", title="Found on a quarter")
    with Image.open(tmp_path / "cell.png") as image:
        assert image.width > image.height > 200
        colors = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert {f"#{red:02x}{green:02x}{blue:02x}" for _, (red, green, blue) in colors} >= (
        {operation.colour for operation in NAS_BENCH_201}
    )
    text = (tmp_path / "cell.svg").read_text()
    assert "Found on a quarter" in text
    assert all(operation.label in text for operation in NAS_BENCH_201)


def test_the_same_cell_is_drawn_the_same(tmp_path):
    for name in ("first.svg", "second.svg"):
        save_drawing(CELL, tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.png, \.svg, \.pdf"):
        save_drawing(CELL, tmp_path / "cell.bmp")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[plots\]"):
        draw_figure(CELL)
