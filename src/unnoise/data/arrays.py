"""Images that are arrays already: in memory, in .npy and .npz files, and what the binary formats give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unnoise.data.decode import fit
from unnoise.data.geometry import plan_size
from unnoise.data.images import Images, blocks
from unnoise.data.labels import class_table
from unnoise.data.progress import progress
from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError

IMAGE_KEYS = ("images", "image", "x", "pixels", "data", "arr_0")
LABEL_KEYS = ("labels", "label", "y", "targets", "arr_1")
MAP_KEYS = ("maps", "masks")
CAPTION_KEYS = ("captions", "texts")
COLOURS = (1, 3, 4)


@dataclass(frozen=True)
class Arrays:
    """Raw arrays of one split: pixels (N, C, H, W) uint8 and what belongs to them."""

    pixels: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    captions: list[str] | None = None
    maps: np.ndarray | None = None

    def pack(self, source: str, settings: Settings, work: Path | None, shown: bool) -> Images:
        """The set with the wanted size, channels and limit."""
        rows = settings.chosen(len(self.pixels))
        if not len(rows):
            raise UserError(f"{source} holds no images")
        channels, height, width = self.pixels.shape[1:]
        shape = plan_size([(width, height)], settings.size)
        final = _final_channels(self.pixels, settings.channels)
        pixels = np.empty((len(rows), final, *shape), np.uint8)
        with progress(f"packing {source}", len(rows), shown) as advance:
            for block in blocks(len(rows), channels * height * width):
                pixels[block] = to_channels(_resized(self.pixels[rows[block]], shape), final)
                advance(block.stop - block.start)
        return Images(
            pixels=pixels,
            labels=None if self.labels is None else np.asarray(self.labels, np.int64)[rows],
            classes=self.classes,
            captions=None if self.captions is None else [self.captions[row] for row in rows],
            maps=None if self.maps is None else _resized_maps(self.maps[rows], shape),
            source=source,
            sizes=dict(Counter({(width, height): len(rows)})),
        )


def standard(raw: np.ndarray, name: str, channels_last: bool = True) -> np.ndarray:
    """Any of (N, H, W), (N, H, W, C), (N, C, H, W) as (N, C, H, W) uint8.

    bool is 0 and 255, uint16 is divided by 257 and rounded. channels_last: the reading of an array that fits both
    ways. Raises UserError for other shapes and types.
    """
    if raw.ndim == 3:
        raw = raw[:, None]
    elif raw.ndim == 4 and (raw.shape[3] in COLOURS or raw.shape[1] in COLOURS):
        last = raw.shape[3] in COLOURS and (channels_last or raw.shape[1] not in COLOURS)
        raw = raw.transpose(0, 3, 1, 2) if last else raw
    else:
        raise UserError(f"{name} has shape {raw.shape}; allowed: (N, H, W), (N, H, W, C), (N, C, H, W), C 1, 3 or 4")
    if raw.dtype not in (np.uint8, np.uint16, np.bool_):
        raise UserError(f"{name} has type {raw.dtype}; images must be uint8 in 0..255 (or uint16, or bool)")
    if raw.dtype == np.uint16:
        return ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return raw.astype(np.uint8) * np.uint8(255) if raw.dtype == np.bool_ else raw


def read_npy(path: Path, split: str, work: Path) -> Arrays:
    """The images of an .npy file."""
    if split != "train":
        raise NoSplit(f"{path} has no split of its own, so no 'test'; open it with split='train'")
    return Arrays(standard(_load(path), path.name))


def read_npz(path: Path, split: str, work: Path) -> Arrays:
    """The images of an .npz file, found by the usual names (images or x, labels or y, captions, maps; each may carry
    train or test in front or behind, and then the file has its own split)."""
    with _load(path) as file:
        names = list(file.files)
        own = [key for key in names if "test" in key.lower()]
        if split == "test" and not own:
            raise NoSplit(f"{path} has no split of its own, so no 'test'; open it with split='train'")
        part = split if own else ""
        image, label, caption, segmentation = (
            _find(names, keys, part) for keys in (IMAGE_KEYS, LABEL_KEYS, CAPTION_KEYS, MAP_KEYS)
        )
        if image is None:
            raise UserError(
                f"{path} holds {', '.join(names) or 'nothing'}; images are looked for under {', '.join(IMAGE_KEYS)}"
            )
        pixels = standard(_member(file, image, path), f"{path.name}[{image}]")
        values = None if label is None else _member(file, label, path).reshape(-1)
        maps = None if segmentation is None else _member(file, segmentation, path)
        captions = None if caption is None else [str(text) for text in _member(file, caption, path)]
    _check_lengths(path, len(pixels), {label: values, segmentation: maps, caption: captions})
    labels, classes = (None, ()) if values is None else class_table(values.tolist())
    return Arrays(pixels, labels, classes, captions, None if maps is None else _small(maps, path, pixels.shape[2:]))


def _load(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a numpy file: {error}") from None


def _member(file: Mapping[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    try:
        return file[key]
    except Exception as error:  # zip, zlib and numpy each have their own
        raise UserError(f"{path}: {key} cannot be read: {error}") from None


def _find(names: Sequence[str], keys: Sequence[str], part: str) -> str | None:
    wanted = [f for key in keys for f in ((f"{part}_{key}", f"{key}_{part}") if part else (key,))]
    return next((name for want in wanted for name in names if name.lower() == want), None)


def _check_lengths(path: Path, count: int, parts: dict[str | None, Any]) -> None:
    for key, part in parts.items():
        if part is not None and len(part) != count:
            raise UserError(f"{path}: {count} images, but {len(part)} {key}")


def _small(maps: np.ndarray, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if maps.shape[1:] != shape or maps.dtype.kind not in "iub" or maps.min() < 0 or maps.max() > 255:
        raise UserError(f"{path}: maps must be (N, H, W) integers in 0..255, as large as the images")
    return maps.astype(np.uint8)


def _final_channels(pixels: np.ndarray, wanted: int | None) -> int:
    if wanted:
        return wanted
    if pixels.shape[1] == 1:
        return 1
    parts = (to_channels(pixels[block], 3) for block in blocks(len(pixels), pixels[0].nbytes))
    return 1 if all((part[:, :1] == part[:, 1:]).all() for part in parts) else 3


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(N, C, H, W) uint8 with another number of channels: transparency is laid on white, grey is Rec. 601 luma."""
    have = pixels.shape[1]
    if have == channels:
        return pixels
    if have == 4:
        alpha = pixels[:, 3:].astype(np.uint32)
        pixels = ((pixels[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
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


def _resized_maps(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if maps.shape[1:] == shape:
        return maps
    nearest = Image.Resampling.NEAREST
    return np.stack([np.asarray(fit(Image.fromarray(row), *shape, nearest)) for row in maps])
