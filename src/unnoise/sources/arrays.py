"""Images that are arrays already: in memory, in .npy files, and what the binary formats give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unnoise.data.blocks import blocks
from unnoise.data.fields import Field, Values, present, taken
from unnoise.data.images import Images
from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError
from unnoise.io.geometry import fit, plan_size
from unnoise.io.picture_reader import scaled
from unnoise.progress import progress

COLOURS = (1, 3, 4)


@dataclass(frozen=True)
class Arrays:
    """Raw arrays of one split: pixels (N, C, H, W) uint8 and what belongs to them, by field."""

    pixels: np.ndarray
    fields: Mapping[str, Values] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    def pack(self, source: str, settings: Settings, work: Path | None, shown: bool) -> Images:
        """The set with the wanted size, channels and limit."""
        rows = settings.chosen(len(self.pixels))
        if not len(rows):
            raise UserError(f"{source} holds no images")
        channels, height, width = self.pixels.shape[1:]
        shape = plan_size([(width, height)], settings.size)
        final = _final_channels(self.pixels, settings)
        pixels = np.empty((len(rows), final, *shape), np.uint8)
        with progress(f"packing {source}", len(rows), shown) as advance:
            for block in blocks(len(rows), channels * height * width):
                seen = to_channels(self.pixels[rows[block]], final, settings.background)
                pixels[block] = _resized(seen, shape)
                advance(block.stop - block.start)
        return Images(
            pixels=pixels,
            fields={kind.name: _fitted(kind, taken(values, rows), shape) for kind, values in present(self.fields)},
            classes=self.classes,
            source=source,
            sizes=dict(Counter({(width, height): len(rows)})),
        )

    def stream(self, source: str, content: str, settings: Settings) -> Images:
        """Refused: an array is read as a whole."""
        raise UserError(f"{source} is an array and not files of pictures, so it is not streamed: leave data.stream out")


def standard(
    raw: np.ndarray, name: str, channels_last: bool = True, levels: tuple[float, float] | None = None
) -> np.ndarray:
    """Any of (N, H, W), (N, H, W, C), (N, C, H, W) as (N, C, H, W) uint8; bool is 0 and 255, uint16 is divided by 257
    and rounded.

    Args:
        raw: uint8, uint16 or bool.
        name: for errors.
        channels_last: the reading of an array that fits both ways.
        levels: fractions of the full range that become black and white.

    Raises:
        UserError: for other shapes and types.
    """
    if raw.ndim == 3:
        raw = raw[:, None]
    elif raw.ndim == 4 and (raw.shape[3] in COLOURS or raw.shape[1] in COLOURS):
        last = raw.shape[3] in COLOURS and (channels_last or raw.shape[1] not in COLOURS)
        raw = raw.transpose(0, 3, 1, 2) if last else raw
    else:
        raise UserError(f"{name} has shape {raw.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W), C 1, 3 or 4")
    if 0 in raw.shape[1:]:
        raise UserError(f"{name} has shape {raw.shape}: its images have no pixels")
    if raw.dtype not in (np.uint8, np.uint16, np.bool_):
        raise UserError(f"{name} has type {raw.dtype}; images must be uint8 in 0..255 (or uint16, or bool)")
    if raw.dtype == np.bool_:
        return raw.astype(np.uint8) * np.uint8(255)
    return raw if raw.dtype == np.uint8 and levels is None else scaled(raw, levels)


def read_npy(path: Path, settings: Settings, work: Path | None) -> Arrays:
    """The images of an .npy file."""
    if settings.split != "train":
        raise NoSplit(f"{path} has no split of its own, so no 'test'; open it with split='train'")
    try:
        raw = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy's parser of headers raises anything on damage
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return Arrays(standard(raw, path.name, levels=settings.levels))


def _final_channels(pixels: np.ndarray, settings: Settings) -> int:
    if settings.channels:
        return settings.channels
    if pixels.shape[1] == 1:
        return 1
    parts = (to_channels(pixels[block], 3, settings.background) for block in blocks(len(pixels), pixels[0].nbytes))
    return 1 if all((part[:, :1] == part[:, 1:]).all() for part in parts) else 3


def to_channels(pixels: np.ndarray, channels: int, background: str = "white") -> np.ndarray:
    """(N, C, H, W) uint8 with another number of channels: transparency is laid on a colour, grey is Rec. 601 luma."""
    have = pixels.shape[1]
    if have == channels:
        return pixels
    if have == 4:
        alpha = pixels[:, 3:].astype(np.uint32)
        paper = np.array(Image.new("RGB", (1, 1), background).getpixel((0, 0)), np.uint32)[:, None, None]
        pixels = ((pixels[:, :3] * alpha + paper * (255 - alpha) + 127) // 255).astype(np.uint8)
    if channels == 1 and pixels.shape[1] == 3:
        weights = np.array([19595, 38470, 7471], np.uint32)[:, None, None]
        return ((pixels * weights).sum(1, keepdims=True) + 0x8000 >> 16).astype(np.uint8)
    if channels > 1 and pixels.shape[1] == 1:
        pixels = np.repeat(pixels, 3, axis=1)
    if channels == 4:
        return np.concatenate([pixels, np.full_like(pixels[:, :1], 255)], axis=1)
    return pixels


def _resized(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if pixels.shape[2:] == shape:
        return pixels
    seen = np.stack([np.asarray(fit(Image.fromarray(_plain(row)), *shape)) for row in pixels])
    return seen[:, None] if seen.ndim == 3 else seen.transpose(0, 3, 1, 2)


def _plain(row: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(row[0] if len(row) == 1 else row.transpose(1, 2, 0))


def _fitted(kind: Field, values: Any, shape: tuple[int, int]) -> Values:
    """A field's values as they are stored, with the images' new shape where they lie on the pixels."""
    if not isinstance(values, np.ndarray):
        return kind.stacked(values)
    if kind.spatial and values.shape[1:] != shape:
        nearest = Image.Resampling.NEAREST
        values = np.stack([np.asarray(fit(Image.fromarray(row), *shape, nearest)) for row in values])
    return np.asarray(values, kind.dtype)
