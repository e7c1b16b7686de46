"""Images that belong together: near-duplicates and groups of the metadata."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.data import Images
from unnoise.data import near_duplicates as module
from unnoise.data.near_duplicates import grouped

DRAWS = np.random.default_rng(0)
OTHERS = DRAWS.integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)


def nearly(image: np.ndarray, amount: int, seed: int) -> np.ndarray:
    change = np.random.default_rng(seed).integers(-amount, amount + 1, image.shape)
    return np.clip(image + change, 0, 255).astype(np.uint8)


def members(images: Images, **options: bool) -> list[list[int]]:
    """The groups of several images."""
    number = grouped(images, **options).number
    found = [np.flatnonzero(number == group).tolist() for group in range(number.max() + 1)]
    return [rows for rows in found if len(rows) > 1]


def test_chains_of_near_duplicates_are_one_group() -> None:
    """Steps of noise add up until the ends are no near-duplicates of each other."""
    chain = [OTHERS[3]]
    for step in range(3):
        chain.append(nearly(chain[-1], 32, step))
    images = Images(np.concatenate([OTHERS, np.stack(chain[1:])]))
    assert members(images) == [[3, 40, 41, 42]]
    assert members(Images(np.stack([*OTHERS, chain[-1]]))) == [], "the ends alone are none"


def test_tiles_find_what_one_matrix_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = np.stack([nearly(OTHERS[row], 10, row) for row in (5, 0, 39)])
    images = Images(np.concatenate([OTHERS, copies]))
    whole = members(images)
    monkeypatch.setattr(module, "TILE", 7)
    assert members(images) == whole == [[0, 41], [5, 40], [39, 42]]


def test_in_a_large_set_only_equal_images_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(np.stack([*OTHERS, OTHERS[7], nearly(OTHERS[8], 10, 0), OTHERS[7]]))
    assert members(images) == [[7, 40, 42], [8, 41]]
    monkeypatch.setattr(module, "MOST", 42)
    assert members(images) == [[7, 40, 42]]
    assert not grouped(images).compared


def test_a_group_of_the_metadata_joins_images_and_their_near_duplicates() -> None:
    names = ["film" if row in (2, 9) else "" for row in range(40)]
    images = Images(np.stack([*OTHERS, nearly(OTHERS[9], 10, 0)]), {"groups": [*names, "other"]})
    assert members(images) == [[2, 9, 40]]
    assert members(images, by_metadata=False) == [[9, 40]]


def test_groups_are_numbered_by_their_first_images() -> None:
    images = Images(np.stack([*OTHERS[:3], OTHERS[1], OTHERS[0]]))
    assert grouped(images).number.tolist() == [0, 1, 2, 1, 0]
    assert grouped(images).sizes.tolist() == [2, 2, 1]


def test_images_without_any_contrast_are_one_group() -> None:
    assert grouped(Images(np.full((5, 3, 8, 8), 77, np.uint8))).number.tolist() == [0] * 5
