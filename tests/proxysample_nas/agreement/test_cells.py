"""Cells to be ranked are connected, distinct up to isomorphism, and the same from the same seed."""

from __future__ import annotations

import pytest

from proxysample.errors import InputError
from proxysample_nas.agreement import draw_distinct_cells


def test_no_two_cells_compute_the_same_and_all_are_connected():
    cells = draw_distinct_cells(40, 3, seed=3)
    assert len({cell.unique_form() for cell in cells}) == 40
    assert all(cell.is_connected for cell in cells)


def test_more_cells_begin_with_the_same_ones():
    assert draw_distinct_cells(9, seed=1)[:4] == draw_distinct_cells(4, seed=1)
    assert draw_distinct_cells(4, seed=2) != draw_distinct_cells(4, seed=1)


def test_too_many_are_refused_with_how_many_there_are():
    # Four operations but none on the one edge.
    with pytest.raises(InputError, match="only 4 cells of 2 nodes"):
        draw_distinct_cells(5, 2)


@pytest.mark.parametrize("n", [0, 2.5])
def test_a_number_that_is_none_is_refused(n):
    with pytest.raises(InputError, match="n_cells"):
        draw_distinct_cells(n)
