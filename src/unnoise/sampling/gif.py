"""Noise becoming images, step by step, as a GIF."""

from __future__ import annotations

import numpy as np
from PIL import Image

from unnoise.data import image_grid

FRAMES = 100
"""At most: of more steps, as many at equal distances are shown."""


class GifFrames:
    """What the grid of images looks like after each step of a sampler. All batches have as many steps."""

    def __init__(self) -> None:
        self.batches: list[list[np.ndarray]] = []

    def new_batch(self) -> None:
        """The next batch begins."""
        self.batches.append([])

    def record(self, images: np.ndarray) -> None:
        """The batch after one more step, uint8 (B, C, H, W)."""
        self.batches[-1].append(images)

    def frames(self) -> list[Image.Image]:
        """Grids of all batches, from the first step to the last."""
        steps = min(len(batch) for batch in self.batches)
        shown = np.unique(np.linspace(0, steps - 1, min(steps, FRAMES)).round().astype(int))
        return [image_grid(np.concatenate([batch[step] for batch in self.batches])) for step in shown]
