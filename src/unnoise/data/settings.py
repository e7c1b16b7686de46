"""How a source is to be read: checked once, and part of the cache's key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unnoise.errors import UserError

SPLITS = ("train", "test")
CHANNELS = (None, 1, 3, 4)
MAX_SIDE = 8192


@dataclass(frozen=True)
class Settings:
    """split: train or test. size: None, the shorter side, or (height, width). channels: None (found from the data),
    1, 3 or 4. limit: at most so many images, drawn over the whole set. Raises UserError for anything else."""

    split: str = "train"
    size: int | tuple[int, int] | None = None
    channels: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UserError(f"unknown split {self.split!r}; allowed: train, test")
        if self.channels not in CHANNELS:
            raise UserError(f"channels must be 1, 3 or 4, or None to find them from the data; got {self.channels!r}")
        if isinstance(self.size, list):  # as TOML and JSON give it
            object.__setattr__(self, "size", tuple(self.size))
        sides = (self.size,) if isinstance(self.size, int) else self.size or (1, 1)
        if len(sides) not in (1, 2) or not all(isinstance(s, int) and 1 <= s <= MAX_SIDE for s in sides):
            raise UserError(f"size must be a number or (height, width), 1 to {MAX_SIDE}; got {self.size!r}")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be at least 1; got {self.limit}")

    def chosen(self, count: int) -> np.ndarray:
        """The indices, rising, of the images that `limit` lets through: spread over all, so no class is cut off."""
        if self.limit is None or self.limit >= count:
            return np.arange(count)
        return np.sort(np.random.default_rng([0, count]).permutation(count)[: self.limit])
