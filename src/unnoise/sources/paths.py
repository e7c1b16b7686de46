"""What lies at a path: the tables of what is recognised, and by what."""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import Any, Protocol

from unnoise.data.images import Images
from unnoise.data.pack import Files
from unnoise.data.settings import Settings
from unnoise.errors import UserError
from unnoise.io.tree import Tree, Walk, folder_tree
from unnoise.sources.archive import tar_tree, zip_tree
from unnoise.sources.arrays import read_npy
from unnoise.sources.cifar import is_cifar, read_cifar
from unnoise.sources.folder import list_images
from unnoise.sources.formats import EXTENSIONS
from unnoise.sources.idx import is_idx_file, is_idx_tree, label_name, read_idx_file, read_idx_tree
from unnoise.sources.npz import is_npz, read_npz
from unnoise.sources.shard_set import Shards, matching
from unnoise.sources.shards import ENDING, is_shard
from unnoise.sources.tables import ENDINGS, Tables


class Content(Protocol):
    """What a reader finds: files or arrays that can be packed."""

    def pack(self, source: str, settings: Settings, work: Path, shown: bool) -> Images:
        """The packed set; `work` is an empty folder that becomes the cache's entry."""
        ...

    def stream(self, source: str, content: str, settings: Settings) -> Images:
        """The set with its pictures decoded as they are needed; content: see `Origin`. Raises UserError for arrays."""
        ...


@dataclass(frozen=True)
class Origin:
    """Where a source's content comes from.

    Attributes:
        key: what tells this content from any other, without reading it.
        read: reads it, given a folder that may be filled, or None where it is to be streamed.
        notes: what the user should know about the choice.
        content: a digest of the names and sizes of the files, wherever they lie.
        count: gives how many pictures there are, or a few more, where they can be streamed.
    """

    key: list[Any]
    read: Callable[[Path | None], Content]
    notes: tuple[str, ...] = ()
    content: str = ""
    count: Callable[[], int] | None = None


@dataclass(frozen=True)
class Opening:
    """How paths are opened. cache: the cache folder; shown: whether progress is."""

    settings: Settings
    cache: Path
    shown: bool


def pattern_origin(pattern: str, opening: Opening) -> Origin:
    """The tar shards that a pattern names."""
    return _shards_origin(pattern, [Path(path) for path in matching(pattern)], opening)


def path_origin(path: Path, opening: Opening) -> Origin:
    """What lies at an absolute path."""
    if path.is_dir():
        return _folder_origin(path, opening)
    if not path.is_file():
        raise UserError(f"{path} is neither a folder nor a regular file")
    if is_shard(path):
        return _shards_origin(str(path), [path], opening)
    if path.suffix.lower() in ENDINGS:
        return _tables_origin(str(path), [path], opening)
    partner = path.with_name(label_name(path.name))
    stamps = [_stamp(file) for file in (path, partner) if file.exists()]
    return Origin([str(path), stamps], partial(_read_file, path, opening.settings))


def _folder_origin(path: Path, opening: Opening) -> Origin:
    where, what = hashlib.sha256(), hashlib.sha256()
    shards, tables, count, pictures = [], [], 0, False
    for name, entry in Walk(path):
        stamp = _stamp(entry)
        known = name.encode("utf-8", "surrogateescape") + b"\0"
        what.update(known + b"%d\0" % stamp[0])
        where.update(known + b"%d\0%d\0%d\0" % tuple(stamp))
        count += 1
        ending = posixpath.splitext(name)[1].lower()
        pictures = pictures or ending in EXTENSIONS
        if ending == ENDING:
            shards.append(Path(entry.path))
        elif ending in ENDINGS:
            tables.append(Path(entry.path))
    if shards and not pictures:
        return _shards_origin(str(path), sorted(shards), opening)
    if tables and not pictures:
        return _tables_origin(str(path), sorted(tables), opening)
    settings = opening.settings
    return Origin(
        [str(path), where.hexdigest()],
        lambda work: read_tree(folder_tree(path), settings),
        content=what.hexdigest(),
        count=lambda: count,
    )


def _shards_origin(named: str, paths: list[Path], opening: Opening) -> Origin:
    stamps = tuple(_stamp(path) for path in paths)
    shards = Shards(named, tuple(map(str, paths)), stamps)
    split, cache, shown = opening.settings.split, opening.cache, opening.shown
    content = hashlib.sha256(repr([(path.name, stamp[0]) for path, stamp in zip(paths, stamps, strict=True)]).encode())
    return Origin(
        [list(shards.paths), list(stamps)],
        lambda work: Files(shards.listing(split, cache, shown)),
        content=content.hexdigest(),
        count=lambda: len(shards.listing(split, cache, shown).names),
    )


def _tables_origin(named: str, paths: list[Path], opening: Opening) -> Origin:
    stamps = [_stamp(path) for path in paths]
    tables = Tables(named, tuple(map(str, paths)))
    content = hashlib.sha256(repr([(path.name, stamp[0]) for path, stamp in zip(paths, stamps, strict=True)]).encode())
    return Origin(
        [list(tables.paths), stamps],
        lambda work: tables.content(opening.settings.split, opening.shown),
        content=content.hexdigest(),
    )


def _stamp(file: Any) -> list[int]:
    """Changes whenever the file's bytes do; the change time shows even a write that restores the modification time."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def read_tree(tree: Tree, settings: Settings) -> Content:
    """What a folder or an archive holds: IDX files, CIFAR-10's batches, or else images."""
    for recognised, read in TREES:
        if recognised(tree):
            return read(tree, settings)
    return Files(list_images(tree, settings.split))


def _read_file(path: Path, settings: Settings, work: Path | None) -> Content:
    for recognised, read in FILES:
        if recognised(path):
            return read(path, settings, work)
    if path.suffix.lower() in EXTENSIONS:
        raise UserError(f"{path} is a single file; give the folder that holds the images")
    raise UserError(f"{path} is none of: zip, tar, npz, npy, IDX images")


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _read_zip(path: Path, settings: Settings, work: Path | None) -> Content:
    return read_tree(zip_tree(path), settings)


def _read_tar(path: Path, settings: Settings, work: Path | None) -> Content:
    return read_tree(tar_tree(path, work), settings)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, ValueError, zlib.error, LZMAError):  # what its decompressors raise on damage
        return False


TREES: tuple[tuple[Callable[[Tree], bool], Callable[[Tree, Settings], Content]], ...] = (
    (is_idx_tree, read_idx_tree),
    (is_cifar, read_cifar),
)
FILES: tuple[tuple[Callable[[Path], bool], Callable[[Path, Settings, Path | None], Content]], ...] = (
    (_is_npy, read_npy),
    (is_npz, read_npz),
    (zipfile.is_zipfile, _read_zip),
    (is_idx_file, read_idx_file),
    (_is_tar, _read_tar),
)
