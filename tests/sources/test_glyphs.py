from __future__ import annotations

import re

import numpy as np
import pytest

from unnoise.sources import open_source
from unnoise.sources.glyphs import COLOURS, FONTS, Glyphs, draw_cover, paint

CAPTION = re.compile(r"a (\w+) (letter|digit) (\w) on a (\w+) background")


def opened(name: str, **options):
    return open_source(name, progress=False, **options)


def test_captions_classes_colours_and_maps_agree() -> None:
    images = opened("glyphs:size=24,n=200")
    assert images.shape == (3, 24, 24)
    assert images.captions is not None
    assert images.maps is not None
    for i in range(200):
        match = CAPTION.fullmatch(images.captions[i])
        assert match
        ink, kind, character, paper = match.groups()
        assert ink != paper
        assert images.classes[images.labels[i]] == character
        assert kind == ("digit" if character.isdigit() else "letter")
        pixels, covered = images.pixels[i].transpose(1, 2, 0).astype(float), images.maps[i] == 1
        assert set(np.unique(images.maps[i])) == {0, 1}
        front, back = (np.abs(pixels - COLOURS[name]).sum(-1) for name in (ink, paper))
        assert (front[covered] <= back[covered]).all()
        assert (front[~covered] >= back[~covered]).all()
        assert (front == 0).any()
        assert (back == 0).any()


def test_drawing_again_gives_the_same_picture() -> None:
    images = opened("glyphs:size=32,n=20,seed=5")
    for i in range(20):
        draws = np.random.default_rng([5, 0, i])
        character = images.classes[draws.integers(len(images.classes))]
        ink, paper = (list(COLOURS)[k] for k in draws.permutation(len(COLOURS))[:2])
        cover = draw_cover(character, 32, 32, draws)
        np.testing.assert_array_equal(images.pixels[i].transpose(1, 2, 0), paint(cover, COLOURS[ink], COLOURS[paper]))
        np.testing.assert_array_equal(images.maps[i], cover >= 128)


def test_characters_lie_inside_the_picture() -> None:
    for seed in range(300):
        draws = np.random.default_rng(seed)
        character = "MWQJg8"[seed % 6]
        wide = draw_cover(character, 40, 40, draws)
        assert wide.max() > 200
        ink = (wide > 0).any(0).sum(), (wide > 0).any(1).sum()
        assert 0.4 * 40 <= max(ink) <= 0.95 * 40


def test_a_glyph_depends_on_seed_split_and_number_alone() -> None:
    few, many = opened("glyphs:n=5"), opened("glyphs:n=9")
    np.testing.assert_array_equal(few.pixels, many.pixels[:5])
    assert opened("glyphs:n=5", split="test").fingerprint != few.fingerprint
    assert opened("glyphs:n=5,seed=1").fingerprint != few.fingerprint


@pytest.mark.parametrize("size", [8, 16, 64, (16, 40), (40, 16)])
def test_any_size_is_drawn_not_resized(size) -> None:
    images = opened("glyphs:n=3", size=size)
    assert images.shape[1:] == ((size, size) if isinstance(size, int) else size)
    assert images.sizes == {images.shape[:0:-1]: 3}


def test_the_short_form_and_the_characters() -> None:
    assert opened("glyphs:48", limit=4).shape == (3, 48, 48)
    images = opened("glyphs:n=30,characters=XY")
    assert images.classes == ("X", "Y")
    assert set(images.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("options", [{"size": 4}, {"n": 0}, {"characters": ""}, {"characters": "AA"}])
def test_what_cannot_be_drawn_is_refused(options) -> None:
    with pytest.raises(ValueError, match="glyphs need"):
        Glyphs(**options)


def test_every_font_is_there() -> None:
    from pathlib import Path

    import matplotlib

    assert all((Path(matplotlib.get_data_path()) / "fonts" / "ttf" / font).is_file() for font in FONTS)
