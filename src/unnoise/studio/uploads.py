"""What comes in: pictures, decoded before they are kept, and data sets, kept as they are and read guardedly."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from starlette.requests import Request

from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.io.geometry import fit
from unnoise.io.picture_reader import Rules, read_picture
from unnoise.sources.formats import EXTENSIONS
from unnoise.studio.paths import NotFound, TooLarge, inside

PICTURE_BYTES = 32 << 20
PICTURE_PIXELS = 40_000_000
SET_BYTES = 2 << 30
"""Of a data set, all its files together."""
KEPT = 400
"""Pictures, and vectors, that are kept; the oldest go."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".npz", ".npy")


@dataclass(frozen=True)
class Upload:
    """The bytes of a request, as the reader of pictures takes them."""

    data: bytes
    name: str = "that was uploaded"

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def decode(data: bytes, channels: int = 3) -> Image.Image:
    """An upright picture of 8 bits. Raises UserError for what is no picture, damaged or too large."""
    return read_picture(Upload(data), channels, Rules(max_pixels=PICTURE_PIXELS))


def keep_picture(folder: Path, picture: Image.Image, size: tuple[int, int] | None, mask: bool = False) -> str:
    """Writes a picture, cut and resized to (height, width) where given; its name."""
    fitted = picture
    if size is not None:
        fitted = fit(picture, *size, resample=Image.Resampling.NEAREST if mask else Image.Resampling.LANCZOS)
    if mask:
        fitted = Image.fromarray(np.where(np.asarray(fitted.convert("L")) >= 128, 255, 0).astype(np.uint8))
    stream = io.BytesIO()
    fitted.save(stream, format="PNG")
    return keep(folder, stream.getvalue(), ".png")


def picture_file(folder: Path, name: str) -> Path:
    """The file of a kept picture."""
    return kept_file(folder, name, ".png", "picture")


def keep(folder: Path, data: bytes, ending: str) -> str:
    """Writes a file under a name that is drawn for it, which is returned; the oldest files of the folder go."""
    name = secrets.token_hex(8)
    write_atomic(folder / f"{name}{ending}", data)
    _forget(folder, ending)
    return name


def kept_file(folder: Path, name: str, ending: str, what: str) -> Path:
    """The file that was kept under a name; NotFound where there is none."""
    if not (name.isalnum() and name.isascii() and len(name) == 16):
        raise NotFound(f"there is no {what} {name[:40]!r}; upload it again")
    return inside(folder, f"{name}{ending}")


def set_file(folder: Path, name: str, relative: str) -> Path:
    """Where a file of a data set goes; UserError for one that no data set has.

    Only pictures, archives and metadata are taken, below the set's own folder.
    """
    parts = relative.split("/")
    plain = all(part and part.isprintable() and not part.startswith(".") and "\\" not in part for part in parts)
    if not plain or len(relative) > 400 or len(parts) > 8 or any(len(part) > 120 for part in parts):
        raise UserError(f"a file of a data set has a plain relative path, got {relative[:80]!r}")
    if not relative.lower().endswith((*EXTENSIONS, *ARCHIVES, "metadata.jsonl")):
        raise UserError(f"{parts[-1][:80]!r} is neither a picture, an archive nor metadata.jsonl; it is left out")
    file = folder / name / relative
    if not file.parent.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{name!r} leads out of the uploads")
    return file


async def receive(request: Request, file: Path, used: int) -> int:
    """Writes the body to a file beside it first; its length. used: bytes that the set has already."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial, length = file.with_name(f".{secrets.token_hex(4)}.partial"), 0
    try:
        with partial.open("wb") as stream:
            async for part in request.stream():
                length += len(part)
                if used + length > SET_BYTES:
                    raise TooLarge(f"a data set has {SET_BYTES >> 30} GiB at most")
                stream.write(part)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return length


def used_bytes(folder: Path) -> int:
    """What the files below a folder take; 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


def _forget(folder: Path, ending: str) -> None:
    files = sorted(folder.glob(f"*{ending}"), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEPT]:
        file.unlink(missing_ok=True)
