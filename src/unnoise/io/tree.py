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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from lzma import LZMAError
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Protocol

from unnoise.errors import UserError
from unnoise.io.budget import MAX_MEMBER

NOT_DATA = ("__MACOSX", "@eaDir")  # what macOS and Synology put beside files
DAMAGED_ZIP = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error, LZMAError)
"""What reading a damaged zip raises, beside OSError."""
FILE, FOLDER = "file", "folder"
PORTION = 4096  # files of a folder that are handed on at once
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


class FolderFiles(Mapping[str, FileRef]):
    """Files below a folder by relative name; a reference is made when it is asked for."""

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        self._folder, self._names = folder, dict.fromkeys(names)

    def __getitem__(self, name: str) -> FileRef:
        if name not in self._names:
            raise KeyError(name)
        return DiskFile(os.path.join(self._folder, name))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def folder_tree(folder: Path, listed: Callable[[int], None] = lambda count: None) -> Tree:
    """The visible files under a folder; links to folders are followed once.

    listed: called with the number of files that were found since its last call.
    """
    walk, names = Walk(folder), list[str]()
    for prefix, entries in walk.folders():
        names += [prefix + entry.name for entry in entries]
        listed(len(entries))
    return Tree(str(folder), FolderFiles(str(folder), names), tuple(walk.broken), tuple(walk.notes))


class Walk:
    """The visible regular files below a folder.

    What cannot be read (links that lead nowhere, closed folders, devices) joins `broken` on the way; run folders of
    unnoise join `notes`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: list[Broken] = []
        self.notes: list[str] = []
        self._seen: set[tuple[int, int]] = set()

    def folders(self) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        """For each folder what relative names in it begin with, and its files in order of name, at most PORTION at a
        time."""
        waiting = [("", str(self.folder))]
        while waiting:
            prefix, path = waiting.pop()
            files = []
            for entry in self._entries(prefix, path):
                kind = _kind(entry)
                if kind == FILE:
                    files.append(entry)
                elif kind == FOLDER:
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    self.broken.append(Broken(prefix + entry.name, kind))
            for start in range(0, len(files), PORTION):
                yield prefix, files[start : start + PORTION]

    def _entries(self, prefix: str, path: str) -> list[os.DirEntry[str]]:
        """The visible entries of a folder that has not been seen yet and is data."""
        try:
            status = os.stat(path)
            with os.scandir(path) as found:
                entries = [entry for entry in found if entry.name[0] != "." and entry.name not in NOT_DATA]
        except OSError as error:
            if not prefix:
                raise
            self.broken.append(Broken(prefix, error.strerror or "cannot be read"))
            return []
        if (status.st_dev, status.st_ino) in self._seen:
            return []
        self._seen.add((status.st_dev, status.st_ino))
        if prefix and is_run_folder(path):
            self.notes.append(f"{prefix} is a run of unnoise and no data, so it is left out")
            return []
        entries.sort(key=attrgetter("name"))
        return entries


def _kind(entry: os.DirEntry[str]) -> str:
    """FILE, FOLDER, or why it is neither. What the folder says of an entry that is no link takes no system call."""
    try:
        if entry.is_file():
            return FILE
        if entry.is_dir():
            return FOLDER
        entry.stat()
    except OSError as error:
        return error.strerror or "cannot be read"
    return "not a regular file"


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
