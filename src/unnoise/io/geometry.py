"""What shape a set of pictures gets, and which part of a picture is kept."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from PIL import Image

FILTER = Image.Resampling.LANCZOS
NATIVE_SIDE = 64  # without a size: up to here pictures stay as they are, above it they are brought down to it
SAME_ASPECT = 0.01  # relative: 500x375 and 500x376 have one aspect ratio


def plan_size(sizes: Sequence[tuple[int, int]], size: int | tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) for pictures of the given (width, height).

    A pair is taken as it is. A number is the shorter side: pictures of one aspect ratio keep it, mixed ones become
    square. None keeps one common size with a shorter side of at most NATIVE_SIDE; otherwise the shorter side becomes
    min(NATIVE_SIDE, the median shorter side).
    """
    assert sizes
    if isinstance(size, tuple):
        return size
    if size is None and len(set(sizes)) == 1 and min(sizes[0]) <= NATIVE_SIDE:
        return sizes[0][1], sizes[0][0]
    short = size or min(NATIVE_SIDE, int(median(min(pair) for pair in sizes)))
    aspects = [width / height for width, height in sizes]
    if max(aspects) > min(aspects) * (1 + SAME_ASPECT):
        return short, short
    aspect = median(aspects)
    return (short, max(1, round(short * aspect))) if aspect >= 1 else (max(1, round(short / aspect)), short)


def crop_box(width: int, height: int, out_width: int, out_height: int) -> tuple[float, float, float, float]:
    """The largest centred box (left, top, right, bottom) with the aspect ratio of the output.

    Corners lie on whole pixels, so that a crop which needs no resizing copies pixels exactly.
    """
    scale = min(width / out_width, height / out_height)
    box_width, box_height = min(scale * out_width, width), min(scale * out_height, height)
    left, top = int((width - box_width) / 2), int((height - box_height) / 2)
    return left, top, left + box_width, top + box_height


def fit(picture: Image.Image, height: int, width: int, resample: Image.Resampling = FILTER) -> Image.Image:
    """The largest centred part of the wanted aspect ratio, resized; a picture of that shape already is not touched."""
    if picture.size == (width, height):
        return picture
    box = crop_box(*picture.size, width, height)
    gap = None if resample is Image.Resampling.NEAREST else 3.0
    return picture.resize((width, height), resample, box=box, reducing_gap=gap)
