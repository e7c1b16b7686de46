"""How a source is to be read: checked once, and part of the cache's key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import ImageColor

from unnoise.errors import UserError
from unnoise.io.picture_reader import WHITE, Rules
from unnoise.registry import lookup

SPLITS = ("train", "test")
CHANNELS = (None, 1, 3, 4)
MAX_SIDE = 8192


@dataclass(frozen=True)
class Settings:
    """How a source is read. Raises UserError for values that are not allowed.

    Attributes:
        split: 'train' or 'test'.
        size: None (see `geometry.plan_size`), the shorter side, or (height, width).
        channels: None (found from the data), 1, 3 or 4.
        limit: at most so many images, drawn over the whole set.
        max_pixels: of one picture; None for 89 million.
        background: a colour, by name or as '#rrggbb', below transparent pixels.
        levels: (low, high) fractions of the full range that become black and white, for data that uses little of it.
    """

    split: str = "train"
    size: int | tuple[int, int] | None = None
    channels: int | None = None
    limit: int | None = None
    max_pixels: int | None = None
    background: str = WHITE
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.channels not in CHANNELS:
            raise UserError(f"channels must be 1, 3 or 4, or None to find them from the data; got {self.channels!r}")
        if isinstance(self.size, list):  # as TOML and JSON give it
            object.__setattr__(self, "size", tuple(self.size))
        sides = (self.size,) if isinstance(self.size, int) else self.size or (1, 1)
        if len(sides) not in (1, 2) or not all(isinstance(s, int) and 1 <= s <= MAX_SIDE for s in sides):
            raise UserError(f"size must be a number or (height, width), 1 to {MAX_SIDE}; got {self.size!r}")
        for name in ("limit", "max_pixels"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"{name} must be a whole number of at least 1; got {value!r}")
        self._check_colours()

    def _check_colours(self) -> None:
        try:
            ImageColor.getrgb(self.background)
        except (ValueError, AttributeError, TypeError):
            raise UserError(
                f"background must be a colour such as 'white' or '#20b0ff'; got {self.background!r}"
            ) from None
        if self.levels is None:
            return
        object.__setattr__(self, "levels", tuple(self.levels))
        if len(self.levels) != 2 or not 0 <= self.levels[0] < self.levels[1] <= 1:
            raise UserError(f"levels must be two fractions, 0 <= low < high <= 1; got {self.levels!r}")

    @property
    def rules(self) -> Rules:
        """What is asked of every picture."""
        return Rules(self.max_pixels, self.background, self.levels)

    def chosen(self, count: int) -> np.ndarray:
        """The indices, rising, of the images that `limit` lets through, from all, so that no class is cut off."""
        if self.limit is None or self.limit >= count:
            return np.arange(count)
        return np.sort(np.random.default_rng([0, count]).permutation(count)[: self.limit])


def check_split(split: str) -> None:
    """Raises UserError for what is not in SPLITS."""
    lookup(dict.fromkeys(SPLITS), split, "split")
