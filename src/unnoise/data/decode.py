"""Picture files to rows of packed arrays, in worker processes: imports neither torch nor scipy."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from unnoise.data.fields import FIELDS
from unnoise.errors import UserError
from unnoise.io.geometry import fit
from unnoise.io.npy_file import NpyFile
from unnoise.io.picture_reader import PLAIN, Rules, bounded, load, reason_of, size_of, to_mode
from unnoise.io.tree import FileRef

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """Where decoded rows go: `pixels` (N, C, H, W), and a file for each spatial field, (N, H, W)."""

    pixels: NpyFile
    maps: Mapping[str, NpyFile]

    def crc(self, rows: slice) -> int:
        """The check sum of rows that were written."""
        return _crc([file.read(rows.start, rows.stop) for file in (self.pixels, *self.maps.values())])


@dataclass(frozen=True)
class ImageFile:
    """A picture and the files of its spatial fields beside it, by field."""

    picture: FileRef
    beside: Mapping[str, FileRef]


def probe_chunk(files: list[FileRef], rules: Rules = PLAIN) -> list[tuple[int, int] | str]:
    """(width, height) of each picture as it is seen, read from its header, or the reason why there is none."""
    with bounded(rules.max_pixels):
        return [_attempt(size_of, file) for file in files]


def decode_chunk(
    first: int, files: list[ImageFile], target: Target, rules: Rules = PLAIN
) -> tuple[int, list[bool | str]]:
    """Decodes pictures, and what lies on them, into the rows from `first` on of the packed files.

    Gives the check sum of what it wrote, and for each picture whether it is grey, or the reason why it could not be
    read; its row is then undefined.
    """
    pixels = np.zeros((len(files), *target.pixels.shape[1:]), np.uint8)
    maps = {name: np.zeros((len(files), *file.shape[1:]), np.uint8) for name, file in target.maps.items()}
    found = _decode_rows(files, pixels, maps, rules)
    target.pixels.write(first, pixels)
    for name, part in maps.items():
        target.maps[name].write(first, part)
    return _crc([pixels, *maps.values()]), found


def decode_batch(
    files: list[ImageFile], shape: tuple[int, int, int], rules: Rules = PLAIN
) -> tuple[np.ndarray, list[bool | str]]:
    """Pictures as (n, C, H, W) uint8, and for each whether it is grey, or why it could not be read."""
    pixels = np.zeros((len(files), *shape), np.uint8)
    return pixels, _decode_rows(files, pixels, {}, rules)


def _decode_rows(
    files: list[ImageFile], pixels: np.ndarray, maps: Mapping[str, np.ndarray], rules: Rules
) -> list[bool | str]:
    with bounded(rules.max_pixels):
        return [
            _attempt(_decode_row, file, pixels[i], {name: part[i] for name, part in maps.items()}, rules)
            for i, file in enumerate(files)
        ]


def _crc(parts: Iterable[np.ndarray]) -> int:
    found = 0
    for part in parts:
        found = zlib.crc32(np.ascontiguousarray(part).data, found)
    return found


def _decode_row(file: ImageFile, pixels: np.ndarray, maps: Mapping[str, np.ndarray], rules: Rules) -> bool:
    channels, height, width = pixels.shape
    least = None if maps else 2 * max(height, width)
    upright = load(file.picture, least)
    for name, row in maps.items():
        row[:] = FIELDS[name].decode(file.beside[name], upright.size, height, width)
    seen = np.asarray(fit(to_mode(upright, channels, rules), height, width))
    pixels[:] = seen[None] if channels == 1 else seen.transpose(2, 0, 1)
    return channels == 1 or bool((pixels[:1] == pixels[1:3]).all())


def _attempt(function: Callable[..., T], *arguments: Any) -> T | str:
    """The result, or the reason for a failure: decoders raise anything on damaged files."""
    try:
        return function(*arguments)
    except UserError as error:
        return str(error)
    except Exception as error:
        return reason_of(error)
