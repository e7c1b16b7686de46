"""Images in .npz files, found by the usual names, within a budget of what may be unpacked."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.aliases import Value
from unnoise.data.fields import FIELDS, check_header
from unnoise.data.settings import Settings
from unnoise.errors import DamagedSource, NoSplit, UserError
from unnoise.io.budget import Budget
from unnoise.sources.archive import open_zip
from unnoise.sources.arrays import Arrays, standard
from unnoise.sources.labels import class_table

IMAGE_KEYS = ("images", "image", "x", "pixels", "data", "arr_0")
CLASSES = "classes"  # the names of the classes, where a file keeps them
TEST = ("test", "val", "valid")
TRAIN = ("train",)


class NpzFile:
    """The arrays of an .npz by name; only those that are asked for are unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._budget = Budget(str(path), path.stat().st_size)
        with open_zip(path) as archive:
            self.names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]

    def read(self, name: str) -> np.ndarray:
        """The array called `name`; raises DamagedSource, and UserError where the budget is spent."""
        try:
            with open_zip(self.path) as archive:
                size = archive.getinfo(name + ".npy").file_size
                self._budget.spend(size)
                with archive.open(name + ".npy") as stream:
                    check_header(stream, size)
                with archive.open(name + ".npy") as stream:
                    return np.lib.format.read_array(stream, allow_pickle=False)
        except UserError as error:
            raise DamagedSource(f"{self.path}: {name} cannot be read: {error}") from None
        except Exception as error:  # zip, zlib, lzma and numpy each have their own
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DamagedSource(f"{self.path}: {name} cannot be read: {reason}") from None

    def find(self, keys: Sequence[str], part: str) -> str | None:
        """The first of `keys` that is there, with the split `part`, if any, in front or behind."""
        wanted = [form for key in keys for form in ((f"{part}_{key}", f"{key}_{part}") if part else (key,))]
        return next((name for want in wanted for name in self.names if name.lower() == want), None)

    def parts(self) -> dict[str, str]:
        """Split -> how its names are marked; one unmarked 'train' where no array is of a test split."""
        test = next((part for part in TEST if self.find(IMAGE_KEYS, part)), None)
        return {"train": ""} if test is None else {"train": TRAIN[0], "test": test}


def is_npz(path: Path) -> bool:
    """Whether a file is a zip of .npy files alone."""
    if not zipfile.is_zipfile(path):
        return False
    with open_zip(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: Path, settings: Settings, work: Path | None) -> Arrays:
    """The images of an .npz file: `images` (or x, ...), and what `fields.FIELDS` lists. Each name may carry train or
    test in front or behind, and then the file has its own split; classes are numbered over both."""
    file = NpzFile(path)
    parts = file.parts()
    if settings.split not in parts:
        raise NoSplit(f"{path} has no split of its own, so no 'test'; open it with split='train'")
    part = parts[settings.split]
    key = file.find(IMAGE_KEYS, part)
    if key is None:
        raise UserError(
            f"{path} holds {', '.join(file.names) or 'nothing'}; images are looked for under {', '.join(IMAGE_KEYS)}"
        )
    pixels = standard(file.read(key), f"{path.name}[{key}]", levels=settings.levels)
    fields = {name: values for name in FIELDS if (values := _values(file, name, part, pixels)) is not None}
    if "labels" not in fields:
        return Arrays(pixels, fields)
    numbers, classes = _numbered(file, fields["labels"], [other for other in parts.values() if other != part])
    return Arrays(pixels, {**fields, "labels": numbers}, _names(file) or classes)


def _values(file: NpzFile, name: str, part: str, pixels: np.ndarray) -> Value:
    kind = FIELDS[name]
    key = file.find(kind.array_keys, part)
    if key is None:
        return None
    raw = file.read(key)
    if raw.ndim == 0 or len(raw) != len(pixels):
        raise UserError(f"{file.path}: {len(pixels)} images, but {len(raw) if raw.ndim else 1} {key}")
    return kind.from_array(raw, f"{file.path.name}[{key}]", pixels.shape[2:])


def _numbered(file: NpzFile, values: Any, other_parts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers of `values`, numbered together with the labels of the other splits."""
    kind, everything = FIELDS["labels"], list(values)
    for part in other_parts:
        key = file.find(kind.array_keys, part)
        everything += [] if key is None else kind.from_array(file.read(key), key, (0, 0))
    numbers, classes = class_table(everything)
    return numbers[: len(values)], classes


def _names(file: NpzFile) -> tuple[str, ...]:
    """The names of the classes 0, 1, ... that the file keeps, or ()."""
    if CLASSES not in file.names:
        return ()
    return tuple(str(name) for name in file.read(CLASSES).reshape(-1))
