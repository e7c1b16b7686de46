"""Images in a notebook."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from unnoise.data import image_grid
from unnoise.errors import UserError


def show(images: Tensor | np.ndarray, columns: int | None = None) -> Image.Image:
    """One picture of many images, which a notebook displays when it is the last value of a cell.

    Args:
        images: (N, C, H, W) or one (C, H, W): float in [-1, 1], as `model.sample` gives them, or uint8.
        columns: images in a row; None for a square.

    Raises:
        UserError: for an array of any other shape.
    """
    if images.ndim not in (3, 4):
        raise UserError(f"show takes images (N, C, H, W) or one (C, H, W), got {tuple(images.shape)}")
    return image_grid(images[None] if images.ndim == 3 else images, columns=columns)
