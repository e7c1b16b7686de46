"""What lies at a path: the tables of what is recognised, and by what."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import Any, Protocol

from unnoise.data.images import Images
from unnoise.data.pack import Files
from unnoise.data.settings import Settings
from unnoise.errors import UserError
from unnoise.io.tree import Tree
from unnoise.io.walk import folder_tree
from unnoise.progress import counting
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
    found = _looked(path, opening.shown)
    if found.shards and not found.pictures:
        return _shards_origin(str(path), sorted(found.shards), opening)
    if found.tables and not found.pictures:
        return _tables_origin(str(path), sorted(found.tables), opening)
    read = partial(_read_folder, found.tree, opening.settings)
    return Origin([str(path), found.where], read, content=found.what, count=lambda: len(found.tree.files))


def _read_folder(tree: Tree, settings: Settings, work: Path | None) -> Content:
    return read_tree(tree, settings)


@dataclass(frozen=True)
class _Looked:
    """What lies in a folder. where, what: digests of the names, sizes and times of its files, and of the names and
    sizes alone; pictures: whether some are."""

    tree: Tree
    where: str
    what: str
    pictures: bool
    shards: list[Path]
    tables: list[Path]


_LOOKS: ContextVar[dict[Path, _Looked] | None] = ContextVar("looks", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Within, a folder that is opened several times, as for its splits, is looked through at the first."""
    token = _LOOKS.set({})
    try:
        yield
    finally:
        _LOOKS.reset(token)


def _looked(path: Path, shown: bool) -> _Looked:
    looks = _LOOKS.get()
    if looks is None:
        return _look(path, shown)
    if path not in looks:
        looks[path] = _look(path, shown)
    return looks[path]


def _look(path: Path, shown: bool) -> _Looked:
    """Looks at every file once; how many there are is not known before."""
    where, what = hashlib.sha256(), hashlib.sha256()
    kinds: dict[str, str] = {}
    of_kind: dict[str, list[Path]] = {SHARD: [], TABLE: []}
    with counting(f"looking through {path}", shown, "files") as advance:

        def look(prefix: str, files: list[os.DirEntry[str]]) -> None:
            names, stamped = [], []
            for file in files:
                name = file.name
                ending = name[name.rfind(".") :]
                kind = kinds.get(ending)
                if kind is None:
                    kind = kinds[ending] = _kind_of(ending.lower())
                if kind in of_kind:
                    of_kind[kind].append(Path(file.path))
                try:
                    status = file.stat()
                except OSError:  # gone meanwhile, or closed: what cannot be read is named when it is opened
                    continue
                known = (prefix + name).encode("utf-8", "surrogateescape")
                names.append(b"%b\0%d\0" % (known, status.st_size))
                stamped.append(b"%b\0%d\0%d\0%d\0" % (known, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
            what.update(b"".join(names))
            where.update(b"".join(stamped))
            advance(len(files))

        tree = folder_tree(path, look)
    pictures = PICTURE in kinds.values()
    return _Looked(tree, where.hexdigest(), what.hexdigest(), pictures, of_kind[SHARD], of_kind[TABLE])


SHARD, TABLE, PICTURE, OTHER = "shard", "table", "picture", "other"


def _kind_of(ending: str) -> str:
    if ending == ENDING:
        return SHARD
    if ending in ENDINGS:
        return TABLE
    return PICTURE if ending in EXTENSIONS else OTHER


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
