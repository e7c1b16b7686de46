"""Masks of any kind are understood, or refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import UserError
from unnoise.io.masks import marked

RIGHT = np.zeros((6, 8), bool)
RIGHT[:, 5:] = True


def palette(first: tuple[int, int, int], second: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(RIGHT.astype(np.uint8))
    picture.putpalette([*first, *second, *[0] * 762])
    return picture


def layers(paint: tuple[int, int, int], alpha: np.ndarray) -> Image.Image:
    pixels = np.zeros((*RIGHT.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = paint, alpha
    return Image.fromarray(pixels)


def photograph_with_a_hole() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (*RIGHT.shape, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(RIGHT, 0, 255)
    return Image.fromarray(pixels)


UNDERSTOOD = {
    "black and white": Image.fromarray(RIGHT.astype(np.uint8) * 255),
    "one bit": Image.fromarray(RIGHT),
    "0 and 1": Image.fromarray(RIGHT.astype(np.uint8)),
    "0 and 1 in 16 bits": Image.fromarray(RIGHT.astype(np.uint16)),
    "0 and 65535": Image.fromarray(RIGHT.astype(np.uint16) * 65535),
    "soft edges": Image.fromarray((np.linspace(0, 255, 8)[None].repeat(6, 0) + 0).astype(np.uint8)),
    "palette, black and red": palette((0, 0, 0), (255, 0, 0)),
    "white paint on nothing": layers((255, 255, 255), RIGHT * 255),
    "a hole in a photograph": photograph_with_a_hole(),
    "a hole in black": layers((0, 0, 0), ~RIGHT * 255),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_is_marked(name: str) -> None:
    expected = np.linspace(0, 255, 8)[None].repeat(6, 0) >= 128 if name == "soft edges" else RIGHT
    np.testing.assert_array_equal(marked(UNDERSTOOD[name], "m.png"), expected)


REFUSED = {
    "black": (Image.new("L", (8, 6), 0), "marks nothing"),
    "white": (Image.new("L", (8, 6), 255), "marks everything"),
    "dark greys": (Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)), "on one side of the middle"),
    "floats": (Image.fromarray(RIGHT.astype(np.float32)), "no defined white"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_understood_is_refused(name: str) -> None:
    mask, reason = REFUSED[name]
    with pytest.raises(UserError, match=reason):
        marked(mask, "m.png")
