"""Drawn characters with exact ground truth: class, caption and segmentation map, at any size, with nothing to download.

One image is one character of a random font, size, position, foreground and background colour. Its caption names the
colours and the character; its map is 1 where the character covers at least half of a pixel and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unnoise.data.settings import MAX_SIDE
from unnoise.errors import UserError
from unnoise.progress import progress
from unnoise.registry import check_keys
from unnoise.sources.arrays import Arrays

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
)
COLOURS = {
    "black": (20, 20, 20),
    "white": (245, 245, 245),
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 215),
    "yellow": (240, 210, 40),
    "purple": (130, 50, 170),
    "cyan": (60, 200, 215),
}
INK = (0.5, 0.85)  # the larger side of a character's ink, as a fraction of the picture's
SPLIT_KEY = {"train": 0, "test": 1}


@dataclass(frozen=True)
class Glyphs:
    """size: side in pixels, or (height, width). n: how many. seed: with the split and an image's number, all there is
    to its draws. characters: what is drawn; each is a class. Raises UserError for values that cannot be drawn."""

    size: int | tuple[int, int] = 32
    n: int = 10_000
    seed: int = 0
    characters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

    def __post_init__(self) -> None:
        if not all(8 <= side <= MAX_SIDE for side in self.shape):
            raise UserError(f"glyphs need a size of 8 to {MAX_SIDE}; got {self.size}")
        if self.n < 1:
            raise UserError(f"glyphs need n of at least 1; got {self.n}")
        if len(set(self.characters)) < len(self.characters) or not self.characters.isalnum():
            raise UserError(f"glyphs need distinct letters and digits as characters; got {self.characters!r}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def read(self, split: str, shown: bool) -> Arrays:
        """Draws the images of a split; image i depends on (seed, split, i) alone."""
        height, width = self.shape
        pixels = np.empty((self.n, height, width, 3), np.uint8)
        maps = np.empty((self.n, height, width), np.uint8)
        labels = np.empty(self.n, np.int64)
        captions: list[str] = []
        with progress("drawing glyphs", self.n, shown) as advance:
            for i in range(self.n):
                draws = np.random.default_rng([self.seed, SPLIT_KEY[split], i])
                labels[i] = draws.integers(len(self.characters))
                character = self.characters[labels[i]]
                ink, paper = (list(COLOURS)[k] for k in draws.permutation(len(COLOURS))[:2])
                cover = draw_cover(character, height, width, draws)
                pixels[i], maps[i] = paint(cover, COLOURS[ink], COLOURS[paper]), cover >= 128
                captions.append(caption(character, ink, paper))
                advance(1)
        fields = {"labels": labels, "captions": captions, "maps": maps}
        return Arrays(pixels.transpose(0, 3, 1, 2), fields, tuple(self.characters))


def parse_glyphs(options: str) -> Glyphs:
    """What stands behind 'glyphs:': a size, or name=value pairs with commas between them."""
    if options.isdigit():
        return Glyphs(size=int(options))
    pairs = dict(_pair(part) for part in options.split(",") if part)
    check_keys(pairs, [field.name for field in fields(Glyphs)], "glyphs")
    characters = pairs.pop("characters", Glyphs.characters)
    numbers = {key: _number(key, value) for key, value in pairs.items()}
    return Glyphs(characters=characters, **numbers)


def draw_cover(character: str, height: int, width: int, draws: np.random.Generator) -> np.ndarray:
    """(height, width) uint8: how much of each pixel the character covers, at a drawn font, size and position."""
    font = FONTS[draws.integers(len(FONTS))]
    wanted = draws.uniform(*INK)
    em = round(min(height, width) * wanted / _ink_side(font, character))
    face = _face(font, em)
    left, top, right, bottom = face.getbbox(character, anchor="ls")
    x, y = (round(draws.uniform(0, max(0, room))) for room in (width - (right - left), height - (bottom - top)))
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).text((x - left, y - top), character, fill=255, font=face, anchor="ls")
    return np.asarray(canvas)


def paint(cover: np.ndarray, ink: Iterable[int], paper: Iterable[int]) -> np.ndarray:
    """(H, W, 3) uint8: paper + cover (ink - paper)."""
    covered = cover[..., None] / 255.0
    front, back = np.array(list(ink), float), np.array(list(paper), float)
    return np.rint(back + covered * (front - back)).astype(np.uint8)


def caption(character: str, ink: str, paper: str) -> str:
    """Such as 'a red letter A on a blue background'."""
    kind = "digit" if character.isdigit() else "letter"
    return f"a {ink} {kind} {character} on a {paper} background"


@lru_cache(maxsize=1024)
def _face(font: str, em: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / font), max(em, 1), layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _ink_side(font: str, character: str) -> float:
    """The larger side of the character's ink in units of the font size."""
    left, top, right, bottom = _face(font, 256).getbbox(character, anchor="ls")
    return max(right - left, bottom - top) / 256


def _pair(part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals:
        raise UserError(f"glyphs: {part!r} is not name=value; such as glyphs:64 or glyphs:size=64,n=20000")
    return key.strip(), value.strip()


def _number(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UserError(f"glyphs: {key} must be a whole number; got {value!r}") from None
