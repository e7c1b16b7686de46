"""What shape a set of pictures gets, and which part of a picture is kept."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import median

from PIL import Image

from unnoise.errors import UserError

FILTER = Image.Resampling.LANCZOS
NATIVE_SIDE = 64  # without a size: up to here pictures stay as they are, above it they are brought down to it
SAME_ASPECT = 0.01  # relative: 500x375 and 500x376 have one aspect ratio
WIDEST = 2  # aspect ratio of the longest bucket, at most
STEP = 1 / 8  # of the square's side: from the width of one bucket to that of the next, about
EQUAL_AREA = 1 / 8  # relative: how far the area of a bucket may be from the square's


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


def bucket_shapes(side: int, multiple: int) -> tuple[tuple[int, int], ...]:
    """(height, width) of buckets of side^2 pixels up to EQUAL_AREA, the tallest first.

    The widths of the wide ones rise from `side` by side / 8, in whole multiples; h is the multiple nearest to
    side^2 / w. The tall ones are these, turned. No side is more than WIDEST times the other.

    Args:
        side: of the square bucket.
        multiple: what divides every side.

    Raises:
        UserError: where `side` is none of its multiples, or too few of them for any other bucket than the square.

    Reference:
        NovelAI 2022, "Aspect ratio bucketing"; Podell et al. 2023 (SDXL), appendix I.
    """
    if side < multiple or side % multiple:
        below = max(multiple, side - side % multiple)
        raise UserError(
            f"the sides of buckets are multiples of {multiple} here, so data.size has to be one: {below} or "
            f"{below + multiple}, not {side}"
        )
    step = max(1, round(STEP * side / multiple))
    wide = [(side, side)]
    for steps in range(step, side // multiple + 1, step):
        width = side + steps * multiple
        height = multiple * max(1, round(side**2 / (width * multiple)))
        if width > WIDEST * height:
            break
        if abs(width * height - side**2) <= EQUAL_AREA * side**2:
            wide.append((height, width))
    if len(wide) == 1:
        raise UserError(
            f"with sides that are multiples of {multiple} there is no bucket but {side}x{side}: raise data.size to "
            f"{4 * multiple} at least, or choose a network with fewer levels or smaller patches"
        )
    return (*((width, height) for height, width in reversed(wide[1:])), *wide)


def nearest_bucket(shapes: Sequence[tuple[int, int]], width: float, height: float) -> int:
    """The number of the bucket (height, width) whose aspect ratio is nearest to width / height, by its logarithm."""
    return min(range(len(shapes)), key=lambda number: _turn(shapes[number], width, height))


def cropped_away(shape: tuple[int, int], width: int, height: int) -> float:
    """The fraction of a picture's area that lies outside the largest part with the aspect ratio of a (height, width):
    1 - min(a, b) / max(a, b) for aspect ratios a and b."""
    ours, its = shape[1] * height, shape[0] * width
    return 1 - min(ours, its) / max(ours, its)


def _turn(shape: tuple[int, int], width: float, height: float) -> float:
    return abs(log(shape[1] / shape[0]) - log(width / height))


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
