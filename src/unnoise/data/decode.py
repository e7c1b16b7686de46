"""One picture file to upright 8-bit pixels of a given shape. Runs in worker processes: imports neither torch nor scipy.

What the image modes mean: grey, RGB and palette pictures are taken as they are; 16-bit grey is divided by 257 and
rounded; transparency is laid on white unless four channels are asked for; CMYK, YCbCr and Lab become RGB; of several
frames the first counts. 32-bit integers beyond 65535 and floating-point pixels have no defined white and are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from unnoise.data.geometry import crop_box
from unnoise.data.tree import Place
from unnoise.errors import UserError

T = TypeVar("T")

FILTER = Image.Resampling.LANCZOS
ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Target:
    """Where decoded rows go: `shape` (C, H, W); the packed files and the offsets of their first row."""

    shape: tuple[int, int, int]
    pixels: str
    pixels_offset: int
    maps: str | None = None
    maps_offset: int = 0


def probe_chunk(places: list[Place]) -> list[tuple[int, int] | str]:
    """(width, height) of each picture as it is seen, read from its header, or the reason why there is none."""
    with _bounded():
        return [_attempt(_probe, place) for place in places]


def decode_chunk(first: int, files: list[tuple[Place, Place | None]], target: Target) -> list[bool | str]:
    """Decodes pictures, and their masks, into the rows from `first` on of the packed files.

    Gives for each picture whether it is grey, or the reason why it could not be read; its row is then undefined.
    """
    pixels = np.zeros((len(files), *target.shape), np.uint8)
    maps = np.zeros((len(files), *target.shape[1:]), np.uint8)
    with _bounded():
        found = [_attempt(_decode_row, file, pixels[i], maps[i]) for i, file in enumerate(files)]
    _write_rows(target.pixels, target.pixels_offset, first, pixels)
    if target.maps:
        _write_rows(target.maps, target.maps_offset, first, maps)
    return found


def fit(picture: Image.Image, height: int, width: int, resample: Image.Resampling = FILTER) -> Image.Image:
    """The largest centred part of the wanted aspect ratio, resized; a picture of that shape already is not touched."""
    if picture.size == (width, height):
        return picture
    box = crop_box(*picture.size, width, height)
    gap = None if resample is Image.Resampling.NEAREST else 3.0
    return picture.resize((width, height), resample, box=box, reducing_gap=gap)


def to_mode(picture: Image.Image, channels: int) -> Image.Image:
    """The picture with 1 (grey), 3 (RGB) or 4 (RGBA) channels of 8 bits."""
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    if picture.mode == "F":
        raise UserError("floating-point pixels have no defined white")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if channels < 4:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == MODES[channels] else picture.convert("RGB").convert(MODES[channels])


def _eight_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UserError("integer pixels outside 0..65535")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _probe(place: Place) -> tuple[int, int]:
    with place.open() as stream, Image.open(stream) as picture:
        if picture.format == "TIFF":  # Pillow turns these by itself
            return picture.size
        # the base class's reader: a PNG's own would decode the whole picture to look for a late EXIF chunk
        turned = Image.Image.getexif(picture).get(ORIENTATION) in TURNED
        return (picture.height, picture.width) if turned else picture.size


def _decode_row(file: tuple[Place, Place | None], pixels: np.ndarray, row_map: np.ndarray) -> bool:
    place, mask = file
    channels, height, width = pixels.shape
    with place.open() as stream, Image.open(stream) as picture:
        if picture.format == "JPEG" and mask is None:
            picture.draft(
                None, (2 * max(height, width),) * 2
            )  # decodes at 1/2, 1/4 or 1/8, never below twice the target
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    if mask is not None:
        row_map[:] = _read_mask(mask, upright.size, height, width)
    seen = np.asarray(fit(to_mode(upright, channels), height, width))
    pixels[:] = seen[None] if channels == 1 else seen.transpose(2, 0, 1)
    return channels == 1 or bool((pixels[:1] == pixels[1:3]).all())


def _read_mask(place: Place, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    with place.open() as stream, Image.open(stream) as picture:
        picture.load()
        mask = ImageOps.exif_transpose(picture)
    if mask.mode not in ("1", "L", "P"):
        raise UserError(f"its mask has mode {mask.mode}, not grey or palette")
    if mask.size != size:
        raise UserError(f"its mask is {mask.width}x{mask.height}, the image {size[0]}x{size[1]}")
    classes = Image.fromarray(np.asarray(mask).astype(np.uint8))
    return np.asarray(fit(classes, height, width, Image.Resampling.NEAREST))


def _write_rows(path: str, offset: int, first: int, rows: np.ndarray) -> None:
    # written, not mapped: a full disk is then an error that can be told, not a killed process
    with open(path, "r+b") as file:
        file.seek(offset + first * rows[0].nbytes)
        file.write(rows.tobytes())


def _attempt(function: Callable[..., T], *arguments: Any) -> T | str:
    """The result, or the reason for a failure: decoders raise anything on damaged files."""
    try:
        return function(*arguments)
    except UnidentifiedImageError:
        return "not an image"
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _bounded() -> Iterator[None]:
    """Decoders' chatter is silenced; a picture beyond Pillow's pixel limit is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
