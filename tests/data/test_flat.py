"""Drawn pictures are told from photographed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.data import Images
from unnoise.data.flat import are_drawn, flat_share
from unnoise.sources import open_source

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_the_share_of_neighbours_of_one_colour() -> None:
    """Rows of 0 0 1 9 9: of four pairs the first and the last are the same, and the second within rounding."""
    row = np.array([0, 0, 1, 9, 9], np.uint8)
    pixels = np.broadcast_to(row, (3, 3, 4, 5)).copy()
    assert flat_share(Images(pixels)) == pytest.approx(3 / 4)
    pixels[:, 1, :, 1] = 100  # another channel differs
    assert flat_share(Images(pixels)) == pytest.approx(1 / 4)


def test_characters_are_drawn_and_noise_on_them_is_not() -> None:
    glyphs = open_source("glyphs:n=50,size=16", progress=False)
    assert are_drawn(glyphs)
    noise = np.random.default_rng(0).normal(0, 6, glyphs.pixels.shape)
    assert not are_drawn(Images(np.clip(glyphs.pixels + noise, 0, 255).astype(np.uint8)))


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")
def test_the_sets_that_the_limit_was_chosen_on() -> None:
    assert are_drawn(open_source(DATA / "noto-emoji", size=32, background="white", limit=100, progress=False))
    photographs = DATA / "cifar-10-binary.tar.gz"
    assert not are_drawn(open_source(photographs, split="test", limit=100, progress=False))
