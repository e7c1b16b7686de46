"""A set of named files, wherever their bytes lie: in a folder, in a zip or in a tar.

A file reference is small and can be sent to another process; `open()` gives its bytes as a stream. Nothing of an
archive is ever written under the name a member claims, so a hostile name has nothing to act on.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, Protocol

from unnoise.errors import UserError
from unnoise.io.budget import MAX_MEMBER

NOT_DATA = ("__MACOSX", "@eaDir")  # what macOS and Synology put beside files
DAMAGED_ZIP = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error, LZMAError)
"""What reading a damaged zip raises, beside OSError."""
CONFIG = "config.toml"  # of a run: what unnoise wrote below a source is not data


@dataclass(frozen=True)
class Broken:
    """A file (or a line of a metadata file) that was left out, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class FileRef(Protocol):
    """Where the bytes of one file are."""

    @property
    def name(self) -> str:
        """What the file is called; its ending counts."""
        ...

    def open(self) -> BinaryIO:
        """A seekable stream of the bytes; raises UserError when there are more than MAX_MEMBER."""
        ...


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file of its own."""

    path: str

    @property
    def name(self) -> str:
        return self.path

    def open(self) -> BinaryIO:
        status = os.stat(self.path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError("not a regular file")
        _check_size(status.st_size)
        return open(self.path, "rb")


@dataclass(frozen=True, slots=True)
class InMemory:
    """Bytes that are at hand already."""

    name: str
    data: bytes

    def open(self) -> BinaryIO:
        _check_size(len(self.data))
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` bytes of a file from `offset` on, called `name`."""

    path: str
    offset: int
    size: int
    name: str

    def open(self) -> BinaryIO:
        _check_size(self.size)
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(self.size))


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip."""

    path: str
    name: str

    def open(self) -> BinaryIO:
        try:
            archive = _open_zip(self.path)
            info = archive.getinfo(self.name)
            _check_size(info.file_size)
            if info.flag_bits & 1:
                raise UserError("encrypted")
            return io.BytesIO(archive.read(info))
        except UserError:
            raise
        except (*DAMAGED_ZIP, OSError, ValueError) as error:
            raise UserError(f"damaged in the archive: {' '.join(str(error).split())}") from None


@lru_cache(maxsize=2)
def _open_zip(path: str) -> zipfile.ZipFile:
    """Kept open: a zip's directory is read once per process, not once per image."""
    return zipfile.ZipFile(path)


def close_archives() -> None:
    """Forgets the zips this process holds open."""
    _open_zip.cache_clear()


def _check_size(size: int) -> None:
    if size > MAX_MEMBER:
        raise UserError(f"{size} bytes, more than the limit of {MAX_MEMBER}")


@dataclass(frozen=True)
class Tree:
    """Named files.

    Attributes:
        root: what the user called it.
        files: by relative name with forward slashes.
        broken: what could not be read.
        notes: what else was left out.
    """

    root: str
    files: Mapping[str, FileRef]
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        """All bytes of the file called `name`."""
        with self.files[name].open() as stream:
            return stream.read()


def is_run_folder(path: str | Path) -> bool:
    """Whether a folder holds the configuration of a run of unnoise."""
    try:
        with DiskFile(os.path.join(path, CONFIG)).open() as file:
            return file.read(1 << 12).startswith(b"unnoise = ")
    except (OSError, UserError):
        return False


def visible(name: str) -> bool:
    """False for hidden files and folders and for what operating systems put beside files."""
    return not any(part.startswith(".") or part in NOT_DATA for part in name.split("/"))
