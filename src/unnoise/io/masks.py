"""Which pixels a mask marks, whatever way it was drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image

from unnoise.errors import UserError

MIDDLE = 128


def marked(mask: Image.Image, name: str) -> np.ndarray:
    """Which pixels are to be drawn anew.

    * Two values, whatever they are (0 and 1, black and white, the colours of a palette): the lighter one is marked.
    * Greys: what is lighter than the middle is marked.
    * Transparency: where something light is painted on transparent ground, the paint is marked. Where a picture has
      transparent holes, the holes are marked.

    Args:
        mask: of any mode, decoded and upright.
        name: for errors.

    Returns:
        (H, W) bool.

    Raises:
        UserError: for a mask that marks everything or nothing, or whose meaning is not clear.
    """
    found = _of_alpha(mask) if _has_holes(mask) else _of_levels(_levels(mask), name)
    if found.all() or not found.any():
        what = "everything" if found.all() else "nothing"
        raise UserError(f"the mask {name} marks {what}; white (or transparent) is drawn anew, the rest is kept")
    return found


def _has_holes(mask: Image.Image) -> bool:
    if not mask.has_transparency_data:
        return False
    return bool((np.asarray(mask.convert("RGBA"))[..., 3] < MIDDLE).any())


def _of_alpha(mask: Image.Image) -> np.ndarray:
    """Paint on transparent ground where what is opaque has one or two colours, one of them light; else the holes."""
    pixels = np.asarray(mask.convert("RGBA"))
    opaque = pixels[..., 3] >= MIDDLE
    luma = np.asarray(mask.convert("RGBA").convert("RGB").convert("L"))
    levels = np.unique(luma[opaque]) if opaque.any() else np.array([], np.uint8)
    painted = 0 < len(levels) <= 2 and levels.max() >= MIDDLE
    return opaque & (luma >= MIDDLE) if painted else ~opaque


def _levels(mask: Image.Image) -> np.ndarray:
    """Grey levels, (H, W): integers as they are, colours by their luma."""
    if mask.mode.startswith("I") or mask.mode in ("1", "L"):
        return np.asarray(mask).astype(np.int64)
    if mask.mode == "F":
        raise UserError("floating-point pixels have no defined white")
    return np.asarray(mask.convert("RGB").convert("L")).astype(np.int64)


def _of_levels(levels: np.ndarray, name: str) -> np.ndarray:
    values = np.unique(levels)
    if len(values) == 2:
        return levels == values[1]
    if len(values) == 1:
        return np.full(levels.shape, bool(values[0]))
    middle = MIDDLE if values[-1] < 256 else 32768
    if not values[0] < middle <= values[-1]:
        raise UserError(
            f"the mask {name} has {len(values)} values from {values[0]} to {values[-1]}, all on one side of the "
            f"middle, so what it marks is not clear; give black and white"
        )
    return levels >= middle
