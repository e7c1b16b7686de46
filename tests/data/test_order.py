from __future__ import annotations

import numpy as np
import pytest

from unnoise.data import Images, Loader
from unnoise.data.order import Shuffled, Windowed

SHARDS, COUNT = (0, 7, 8, 20, 33), 40


@pytest.mark.parametrize("window", [1, 5, 16, 40, 100])
def test_every_image_comes_once_and_any_part_is_found_by_itself(window: int) -> None:
    for epoch in range(3):
        whole = Windowed(SHARDS, COUNT, 3, window).rows(epoch, 0, COUNT)
        assert sorted(whole) == list(range(COUNT))
        for start, stop in ((0, 1), (4, 6), (13, 31), (39, 40), (17, 17)):
            part = Windowed(SHARDS, COUNT, 3, window).rows(epoch, start, stop)
            np.testing.assert_array_equal(part, whole[start:stop])


def test_a_window_holds_neighbouring_shards_in_another_order_each_epoch() -> None:
    """With windows of one image the shards come whole, one behind the other, in order."""
    orders = set()
    for epoch in range(20):
        rows = Windowed(SHARDS, COUNT, 0, 1).rows(epoch, 0, COUNT)
        breaks = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1), COUNT]
        firsts = [int(rows[at]) for at in breaks[:-1]]
        # two shards that follow one another on the disk too look like one
        assert set(firsts) <= set(SHARDS)
        orders.add(tuple(rows[np.isin(rows, SHARDS)]))
    assert len(orders) > 10


def test_within_a_window_the_order_is_random() -> None:
    """Of pairs of neighbours, about half stand in their order: 4 standard deviations of a binomial."""
    rows = Windowed((0,), 4000, 0, 100).rows(0, 0, 4000)
    assert (np.sort(rows.reshape(40, 100), axis=1) == np.arange(4000).reshape(40, 100)).all()
    rising = (np.diff(rows.reshape(40, 100), axis=1) > 0).sum()
    assert abs(rising - 1980) < 4 * np.sqrt(3960 / 12)


def test_orders_follow_from_the_seed() -> None:
    for make in (lambda seed: Windowed(SHARDS, COUNT, seed, 16), lambda seed: Shuffled(COUNT, seed)):
        first, again, other = (make(seed).rows(2, 0, COUNT) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
        assert (make(1).rows(3, 0, COUNT) != first).any()


def test_rows_that_are_held_out_are_never_shown() -> None:
    pixels = np.zeros((COUNT, 1, 2, 2), np.uint8)
    rows = np.array([0, 3, 5, 6, 9, 21, 22, 30])  # the second and the last shard are empty
    for shards in ((), SHARDS):
        loader = Loader(Images(pixels, shards=shards), 4, seed=1, rows=rows)
        assert sorted(np.concatenate([loader.indices(0), loader.indices(1)])) == rows.tolist()
