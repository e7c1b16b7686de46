"""Pictures as data addresses, which a page shows without asking again."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from torch import Tensor

from unnoise.data import image_grid, to_uint8
from unnoise.data.pictures import png_bytes

LOSSLESS = 1 << 17
"""Numbers of a picture up to which it is sent as PNG; noise in larger ones would be megabytes at every step."""


def data_url(picture: Image.Image, lossless: bool = True) -> str:
    """A picture as a data: address, in PNG or else in WebP."""
    kind, data = ("png", png_bytes(picture)) if lossless else ("webp", _webp(picture))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="webp", quality=85)
    return stream.getvalue()


def tiles(images: Tensor | np.ndarray, columns: int | None = None) -> str:
    """Images (N, C, H, W) pixel for pixel side by side, without gaps: a page cuts them apart."""
    pixels = images if isinstance(images, np.ndarray) else to_uint8(images)
    return data_url(image_grid(pixels, columns, scale=1, padding=0), pixels.size <= LOSSLESS)


def sheet(images: Tensor | np.ndarray, columns: int | None = None) -> str:
    """The grid that the command line writes."""
    return data_url(image_grid(images, columns))
