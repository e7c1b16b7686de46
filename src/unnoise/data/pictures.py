"""Tensors and packed pixels as pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.io.picture_reader import GRID

if TYPE_CHECKING:
    from torch import Tensor

VISIBLE = 64  # pixels: what the longer side of a small image is brought up to, as far as whole factors go
PAPER = 255  # between the images of a grid
LETTERS = 14  # pixels: the size of a label's letters
MIN_FRAME = 20  # milliseconds: browsers show shorter frames of a GIF slowly


def to_uint8(image: Tensor) -> np.ndarray:
    """[-1, 1] to 0..255, any shape: (x + 1) * 127.5, clipped, rounded to the nearest, halves upwards; NaN is black."""
    scaled = image.detach().float().add(1).mul(127.5).add(0.5).nan_to_num(0.0).floor().clamp(0, 255)
    return scaled.byte().cpu().numpy()


def image_grid(
    pixels: np.ndarray | Tensor, columns: int | None = None, scale: int | None = None, padding: int = 2
) -> Image.Image:
    """One picture of many, in rows, on white.

    pixels: (N, C, H, W), uint8, or float in [-1, 1]; C is 1 (grey), 3 (RGB) or 4 (RGBA). columns: None for a square.
    scale: the whole factor by which pixels are enlarged; None enlarges small images so that they can be seen.
    """
    images = _bytes(pixels)
    if images.ndim != 4 or not len(images) or images.shape[1] not in (1, 3, 4):
        raise UserError(f"a grid needs (N, C, H, W) with C 1, 3 or 4, and N at least 1; got {tuple(images.shape)}")
    count, channels, height, width = images.shape
    across = min(count, columns or math.ceil(math.sqrt(count)))
    scale = scale or max(1, VISIBLE // max(height, width))
    images = images.repeat(scale, axis=2).repeat(scale, axis=3).transpose(0, 2, 3, 1)
    high, wide = height * scale + padding, width * scale + padding
    sheet = np.full((math.ceil(count / across) * high + padding, across * wide + padding, channels), PAPER, np.uint8)
    for index, image in enumerate(images):
        top, left = padding + index // across * high, padding + index % across * wide
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    if count > 1:
        picture.info[GRID] = str(count)
    return picture


def labelled_rows(rows: Sequence[tuple[str, np.ndarray]], padding: int = 8) -> Image.Image:
    """One picture of rows of images, what each row is to the left of it, on white.

    rows: a label, of one or more lines, and its images, uint8 (N, C, H, W).
    """
    font = ImageFont.load_default(LETTERS)
    strips = [(label, image_grid(pixels, columns=len(pixels)).convert("RGB")) for label, pixels in rows]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left = 2 * padding + max(math.ceil(ruler.multiline_textbbox((0, 0), label, font)[2]) for label, _ in strips)
    size = left + max(strip.width for _, strip in strips), sum(strip.height for _, strip in strips)
    canvas = Image.new("RGB", size, (PAPER, PAPER, PAPER))
    pen, top = ImageDraw.Draw(canvas), 0
    for label, strip in strips:
        canvas.paste(strip, (left, top))
        pen.multiline_text((padding, top + strip.height / 2), label, fill=0, font=font, anchor="lm")
        top += strip.height
    canvas.info[GRID] = str(sum(len(pixels) for _, pixels in rows))
    return canvas


def grid_cells(picture: Image.Image, shape: tuple[int, int, int], padding: int = 2) -> np.ndarray:
    """The cells (N, C, H, W) of a picture that `image_grid` made of images of `shape` (C, H, W), empty ones last.

    Raises UserError for a picture that is no such grid."""
    channels, height, width = shape
    scale = max(1, VISIBLE // max(height, width))
    high, wide = height * scale + padding, width * scale + padding
    rows, columns = (picture.height - padding) // high, (picture.width - padding) // wide
    if (rows * high + padding, columns * wide + padding) != (picture.height, picture.width) or rows * columns < 1:
        raise UserError(f"a picture of {picture.width}x{picture.height} is no grid of {width}x{height} images")
    pixels = np.asarray(picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).reshape(*picture.size[::-1], -1)
    tops, lefts = (padding + high * np.arange(rows), padding + wide * np.arange(columns))
    cells = [
        pixels[top : top + height * scale : scale, left : left + width * scale : scale]
        for top in tops
        for left in lefts
    ]
    return np.stack(cells).transpose(0, 3, 1, 2)


def save_png(image: Image.Image | np.ndarray | Tensor, path: str | Path) -> None:
    """Writes a picture, or one image (C, H, W), as PNG; the file appears whole or not at all.

    A grid is marked as one, so that it is not taken for data where it lies among data.
    """
    picture = image if isinstance(image, Image.Image) else image_grid(_bytes(image)[None], scale=1, padding=0)
    write_atomic(Path(path), png_bytes(picture))


def png_bytes(picture: Image.Image) -> bytes:
    """A picture as PNG, a grid marked as one."""
    stream = io.BytesIO()
    marks = PngInfo()
    if GRID in picture.info:
        marks.add_text(GRID, picture.info[GRID])
    picture.save(stream, format="PNG", pnginfo=marks)
    return stream.getvalue()


def save_gif(frames: Sequence[Image.Image], path: str | Path, seconds: float = 4.0, hold: float = 2.0) -> None:
    """Writes `gif_bytes` of pictures to a file, which appears whole or not at all."""
    write_atomic(Path(path), gif_bytes(frames, seconds, hold))


def gif_bytes(frames: Sequence[Image.Image], seconds: float = 4.0, hold: float = 2.0) -> bytes:
    """Pictures of one size as an endless GIF of so many `seconds`, whose last picture stays `hold` longer.

    Raises UserError for no pictures."""
    if not frames:
        raise UserError("a GIF needs at least 1 picture, got 0")
    each = max(MIN_FRAME, round(1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [each + round(1000 * hold)]
    stream = io.BytesIO()
    first, *others = [frame.convert("RGB").quantize(dither=Image.Dither.NONE) for frame in frames]
    first.save(stream, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, comment=GRID)
    return stream.getvalue()


def _bytes(pixels: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8:
            return pixels
        import torch

        return to_uint8(torch.from_numpy(pixels))
    return to_uint8(pixels) if pixels.is_floating_point() else pixels.detach().byte().cpu().numpy()
