"""Batches fit into the memory, and are of nearly equal size."""

from __future__ import annotations

import pytest
import torch

from unnoise.runtime.batch_size import MOST, PROBES, batch_that_fits, rows_within


def refuse(rows: int) -> object:
    raise AssertionError("nothing is measured on a CPU")


@pytest.mark.parametrize(
    ("count", "side", "expected"), [(1, 32, 1), (50, 32, 50), (65, 32, 33), (130, 64, 44), (20, 256, 4), (3, 1024, 1)]
)
def test_on_a_cpu_pixels_decide_and_batches_are_even(count: int, side: int, expected: int) -> None:
    assert batch_that_fits(count, (side, side), torch.device("cpu"), refuse) == expected


@pytest.mark.parametrize("free", [1e6, 5e7, 1e9, 1e12])
def test_rows_take_at_most_the_free_memory(free: float) -> None:
    """Bytes of rows: 2^20 at rest and 2^22 each. One more multiple of 8 would not fit."""
    low, high = (2**20 + rows * 2**22 for rows in PROBES)
    rows = rows_within(free, low, high)
    assert rows == 1 or 2**20 + rows * 2**22 <= free
    assert rows == MOST or 2**20 + (rows + 8) * 2**22 > free


def test_a_step_whose_memory_does_not_grow_takes_the_most() -> None:
    assert rows_within(1e9, 4096, 4096) == MOST
