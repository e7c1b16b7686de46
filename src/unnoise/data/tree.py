"""A set of named files, wherever their bytes lie: in a folder, in a zip or in a tar.

A place is small and can be sent to another process; `open()` gives its bytes as a stream. Nothing of an archive is
ever written under the name a member claims, so a hostile name has nothing to act on.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol

from unnoise.errors import UserError

MAX_BYTES = 1 << 30  # one file or archive member; a longer one is refused before it is read


@dataclass(frozen=True)
class Broken:
    """A file (or a line of a metadata file) that was left out, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class Place(Protocol):
    """Where the bytes of one file are."""

    def open(self) -> BinaryIO:
        """A seekable stream of the bytes; raises UserError when there are more than MAX_BYTES."""
        ...


@dataclass(frozen=True)
class DiskFile:
    """A file of its own."""

    path: str

    def open(self) -> BinaryIO:
        _check_size(os.path.getsize(self.path))
        return open(self.path, "rb")


@dataclass(frozen=True)
class Slice:
    """`size` bytes of a file from `offset` on."""

    path: str
    offset: int
    size: int

    def open(self) -> BinaryIO:
        _check_size(self.size)
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(self.size))


@dataclass(frozen=True)
class ZipMember:
    """A member of a zip."""

    path: str
    member: str

    def open(self) -> BinaryIO:
        archive = _open_zip(self.path)
        info = archive.getinfo(self.member)
        _check_size(info.file_size)
        if info.flag_bits & 1:
            raise UserError("encrypted")
        return io.BytesIO(archive.read(info))


@lru_cache(maxsize=2)
def _open_zip(path: str) -> zipfile.ZipFile:
    """Kept open: a zip's directory is read once per process, not once per image."""
    return zipfile.ZipFile(path)


def close_archives() -> None:
    """Forgets the zips this process holds open."""
    _open_zip.cache_clear()


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise UserError(f"{size} bytes, more than the limit of {MAX_BYTES}")


@dataclass(frozen=True)
class Tree:
    """Named files. `root` is what the user called it, the keys of `places` are relative names with forward slashes."""

    root: str
    places: dict[str, Place]
    broken: tuple[Broken, ...] = ()

    def read(self, name: str) -> bytes:
        """All bytes of the file called `name`."""
        with self.places[name].open() as stream:
            return stream.read()


def folder_tree(folder: Path) -> Tree:
    """The visible files under a folder; links to folders are followed once."""
    return Tree(str(folder), {name: DiskFile(entry.path) for name, entry in walk(folder)})


def walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(relative name, entry) of every visible file, in order of name within each folder."""
    waiting, seen = [("", str(folder))], set()
    while waiting:
        prefix, path = waiting.pop()
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not visible(entry.name):
                    continue
                if entry.is_dir():
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.is_file():
                    yield prefix + entry.name, entry


def visible(name: str) -> bool:
    """False for hidden files and for what macOS puts beside the files of an archive."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
