from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from unnoise.metrics import distances
from unnoise.metrics.distances import nearest, neighbour_radii, tiles


@pytest.fixture(params=[(512, 1024), (7, 5)], ids=["one tile", "many tiles"], autouse=True)
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "TILE", request.param)


def sets() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(30, 4, generator=draws) + 100, torch.randn(23, 4, generator=draws) + 100


def test_tiles_hold_every_distance_once() -> None:
    x, y = sets()
    got = np.full((30, 23), np.nan)
    for part in tiles(x, y):
        assert np.isnan(got[part.rows, part.columns]).all()
        got[part.rows, part.columns] = part.squared
    np.testing.assert_allclose(got, cdist(x.double(), y.double()) ** 2, rtol=1e-9)


def test_nearest_and_its_distance() -> None:
    x, y = sets()
    want = cdist(x.double(), y.double())
    got = nearest(x, y)
    assert got.index.tolist() == want.argmin(1).tolist()
    np.testing.assert_allclose(got.distance, want.min(1), rtol=1e-12)


def test_a_copy_is_at_zero() -> None:
    x, _ = sets()
    got = nearest(x[[4, 9]], x)
    assert got.distance.tolist() == [0, 0]
    assert got.index.tolist() == [4, 9]


def test_radii_are_distances_to_the_kth_other_row() -> None:
    x, _ = sets()
    ranked = np.sort(cdist(x.double(), x.double()), 1)
    for k, got in zip((1, 3, 29), neighbour_radii(x, (1, 3, 29)), strict=True):
        np.testing.assert_allclose(got, ranked[:, k] ** 2, rtol=1e-9)
