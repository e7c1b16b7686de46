"""The one door for picture files: formats by content, limits, orientation, colour profiles, bit depth, transparency.

What the image modes mean: grey, RGB and palette pictures are taken as they are; 16-bit grey is divided by 257 and
rounded; transparency is laid on a background, white unless another is asked for, or kept where four channels are asked
for; CMYK, YCbCr and Lab become RGB; an ICC profile is converted to sRGB; of several frames the first counts. 32-bit
integers beyond 65535 and floating-point pixels have no defined white and are refused. Runs in worker processes: imports
neither torch nor scipy.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from unnoise.errors import UserError
from unnoise.io.tree import DiskFile, FileRef

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is opened, by content: never a format that Pillow hands to another program (EPS to Ghostscript, for one)."""

ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRID = "unnoise-grid"  # the text chunk of PNGs that hold many pictures, the comment of GIFs
WHITE = "white"


@dataclass(frozen=True)
class Rules:
    """What is asked of every picture of a source.

    Attributes:
        max_pixels: of one picture; None for Pillow's limit, 89 million.
        background: the colour below transparent pixels where there are fewer than four channels.
        levels: (low, high) fractions of the full range that become black and white; None for (0, 1).
    """

    max_pixels: int | None = None
    background: str = WHITE
    levels: tuple[float, float] | None = None


PLAIN = Rules()


def read_picture(file: FileRef | Path | str, channels: int | None, rules: Rules = PLAIN) -> Image.Image:
    """A picture file as the user sees it.

    Args:
        file: where it is.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA), of 8 bits; None for whatever mode it has, upright.
        rules: limits, background and levels.

    Raises:
        UserError: for what is no picture, too large or damaged, and pixels without a defined white.
    """
    ref = file if not isinstance(file, (str, Path)) else DiskFile(str(file))
    reason = "damaged"
    with bounded(rules.max_pixels):
        try:
            upright = load(ref)
            return upright if channels is None else to_mode(upright, channels, rules)
        except UserError as error:
            reason = str(error)
        except FileNotFoundError:
            reason = "there is no such file"
        except Exception as error:  # Pillow's decoders raise anything on damaged files
            known = f" of a known format ({', '.join(FORMATS)})" if isinstance(error, UnidentifiedImageError) else ""
            reason = reason_of(error) + known
    raise UserError(f"cannot read the picture {ref.name}: {reason}")


@contextmanager
def opened(ref: FileRef) -> Iterator[Image.Image]:
    """The picture of a file whose content has one of the allowed formats, not decoded yet."""
    Image.init()
    by_name = ("TGA",) if ref.name.lower().endswith(".tga") else ()  # a format without a signature
    formats = [name for name in (*FORMATS, *by_name) if name in Image.OPEN]
    with ref.open() as stream, Image.open(stream, formats=formats) as picture:
        yield picture


def load(ref: FileRef, least: int | None = None) -> Image.Image:
    """The decoded picture, upright. least: a shorter side that is enough, for formats that can decode at less."""
    with opened(ref) as picture:
        if least is not None:
            _reduce(picture, least)
        picture.load()
        return ImageOps.exif_transpose(picture)


def through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """The picture as it is after it was written as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def _reduce(picture: Image.Image, least: int) -> None:
    if picture.format == "JPEG":
        picture.draft(None, (least, least))  # decodes at 1/2, 1/4 or 1/8, never below `least`
    elif picture.format == "JPEG2000":
        picture.reduce = max(0, (min(picture.size) // least).bit_length() - 1)  # type: ignore[method-assign]


def drawn_here(path: Path) -> bool:
    """Whether a file is a grid, a figure or a GIF that unnoise drew."""
    try:
        with Image.open(path) as picture:
            return GRID in picture.info or picture.info.get("comment") == GRID.encode()
    except (OSError, ValueError):
        return False


def size_of(ref: FileRef) -> tuple[int, int]:
    """(width, height) as the picture is seen, from its header. Raises UserError for a grid that unnoise drew."""
    with opened(ref) as picture:
        if GRID in picture.info:
            raise UserError("a grid of pictures that unnoise drew")
        if picture.format == "TIFF":  # Pillow turns these by itself
            return picture.size
        # the base class's reader: a PNG's own would decode the whole picture to look for a late EXIF chunk
        turned = Image.Image.getexif(picture).get(ORIENTATION) in TURNED
        return (picture.height, picture.width) if turned else picture.size


def to_mode(picture: Image.Image, channels: int, rules: Rules = PLAIN) -> Image.Image:
    """The picture with 1 (grey), 3 (RGB) or 4 (RGBA) channels of 8 bits in sRGB."""
    profile = picture.info.get("icc_profile")
    levels = rules.levels
    if picture.mode.startswith("I"):
        picture, levels = _eight_bits(picture, levels), None
    if picture.mode == "F":
        raise UserError("floating-point pixels have no defined white")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    picture = to_srgb(picture, profile)
    if picture.mode == "RGBA" and channels < 4:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, rules.background), picture)
    picture = picture if picture.mode == MODES[channels] else picture.convert("RGB").convert(MODES[channels])
    return picture if levels is None else _stretched(picture, levels)


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as sRGB has them; a profile that is sRGB already, damaged or for another mode changes nothing."""
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return picture
        return _converted(picture, source)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture


def _converted(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    if picture.mode == "RGBA":
        colours = _converted(picture.convert("RGB"), source)
        colours.putalpha(picture.getchannel("A"))
        return colours
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGB")
    found = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert found is not None, "a new picture is made"
    return found.convert("L") if picture.mode == "L" else found


def _eight_bits(picture: Image.Image, levels: tuple[float, float] | None) -> Image.Image:
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        raise UserError("integer pixels outside 0..65535")
    return Image.fromarray(scaled(values.astype(np.uint16), levels))


def scaled(values: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
    """uint16 or uint8 values as uint8: 0..65535 is divided by 257 and rounded; levels: see `Rules`."""
    if levels is None:
        return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = levels
    fractions = values.astype(np.float32) / np.iinfo(values.dtype).max
    return np.clip((fractions - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)


def _stretched(picture: Image.Image, levels: tuple[float, float]) -> Image.Image:
    table = scaled(np.arange(256, dtype=np.uint8), levels).tolist()
    bands = zip(picture.getbands(), picture.split(), strict=True)
    return Image.merge(picture.mode, [band if name == "A" else band.point(table) for name, band in bands])


@contextmanager
def bounded(max_pixels: int | None = None) -> Iterator[None]:
    """Decoders' chatter is silenced; a picture of more pixels is an error. None: Pillow's limit, 89 million."""
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = max_pixels or before
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def reason_of(error: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels (--max-pixels lifts the limit)"
    return " ".join(str(error).split()) or type(error).__name__
