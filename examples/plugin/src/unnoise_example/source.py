"""Images of stripes: `stripes:200` is a set of 200."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def stripes(options: str, cache: Path) -> Path:
    """The file of a set of images. options: what stands behind the colon; cache: where it may be kept."""
    count = int(options or 100)
    file = cache / "stripes" / f"{count}.npy"
    if not file.exists():
        draws = np.random.default_rng(0)
        rows = np.arange(16)[None, :, None] * draws.uniform(0.3, 1.5, (count, 1, 1)) + draws.uniform(
            0, 6, (count, 1, 1)
        )
        images = np.broadcast_to(127.5 + 127.5 * np.sin(rows), (count, 16, 16)).round().astype(np.uint8)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, images)
    return file
