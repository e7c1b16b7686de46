"""The frames of a sampling as a GIF."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from PIL import Image

from unnoise.data.pictures import gif_bytes
from unnoise.io.picture_reader import read_picture
from unnoise.io.tree import InMemory

SIDE = 512
"""Pixels of the longer side, about."""


def gif_of(frames: Sequence[str]) -> bytes:
    """frames: data addresses of pictures of one size."""
    return gif_bytes([_picture(frame) for frame in frames])


def _picture(frame: str) -> Image.Image:
    picture = read_picture(InMemory("a frame", base64.b64decode(frame.partition(",")[2])), None)
    factor = max(1, SIDE // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
