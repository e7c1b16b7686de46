"""Zip and tar archives as trees; members are read in memory and never extracted under their own names."""

from __future__ import annotations

import errno
import posixpath
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from unnoise.data.room import check_room
from unnoise.errors import DamagedSource, UserError
from unnoise.files import naming
from unnoise.io.budget import MAX_MEMBER, Budget
from unnoise.io.tree import DAMAGED_ZIP, Broken, FileRef, Slice, Tree, ZipMember, visible
from unnoise.sources.formats import HEAD, is_wanted

MAGIC_AT = 257  # where a header says what kind of tar it is
ENDS_EARLY = (EOFError, tarfile.TarError, OSError, zlib.error, LZMAError, ValueError, TypeError, struct.error)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip; raises DamagedSource for what is none."""
    try:
        return zipfile.ZipFile(path)
    except (*DAMAGED_ZIP, OSError, ValueError) as error:
        raise DamagedSource(f"{path} is a damaged zip: {error}") from None


def zip_tree(path: Path) -> Tree:
    """The visible members of a zip that are worth reading."""
    budget = Budget(str(path), path.stat().st_size)
    files: dict[str, FileRef] = {}
    with open_zip(path) as archive:
        for info in archive.infolist():
            name = clean(info.filename)
            if not info.is_dir() and visible(name):
                budget.spend(info.file_size)
                files[name] = ZipMember(str(path), info.filename)
    return Tree(str(path), files)


def tar_tree(path: Path, work: Path | None) -> Tree:
    """The visible members of a tar, compressed or not.

    A plain tar is read where it lies. A compressed one can only be read from front to back, so its members are copied,
    one behind the other, into the single file `work`/members, which allows any order afterwards. Links, devices,
    members that are no data and members beyond the size limit are left out; an archive that ends early gives the
    members before the damage and one `Broken`.

    Raises:
        UserError: where it is compressed and there is no folder for its members.
    """
    if is_plain_tar(path):
        return _plain_tree(path)
    if work is None:
        raise UserError(f"{path} is compressed and so cannot be streamed: unpack it, or pack it with data.stream=false")
    check_room(work, path.stat().st_size, str(path))
    copied = _Copied(str(work / "members"), Budget(str(path), path.stat().st_size))
    with open(copied.blob, "wb") as out, naming(Path(copied.blob)):
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    _copy_member(archive, member, out, copied)
        except ENDS_EARLY as error:
            if _is_about_the_disk(error):
                raise
            copied.broken.append(_ends_early(path, error))
    return Tree(str(path), copied.files, tuple(copied.broken))


def is_plain_tar(path: Path) -> bool:
    """Whether a file begins as a tar that is not compressed (POSIX's ustar, GNU's and pax's)."""
    with path.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(5) == b"ustar"


def plain_members(file: BinaryIO, source: Path, broken: list[Broken]) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """(clean name, member) of the visible regular files of a plain tar, within the budget; what is too large joins
    `broken`. Raises one of ENDS_EARLY where the archive is damaged, UserError where the budget is spent."""
    size = source.stat().st_size
    budget = Budget(str(source), size)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (info := archive.next()) is not None:
            vars(archive)["members"].clear()  # tarfile would keep all of them
            name = clean(info.name)
            budget.spend(info.size if info.isreg() else 0)
            if not info.isreg() or info.issparse() or not visible(name):
                continue
            if info.size > MAX_MEMBER:
                broken.append(_too_large(name, info.size))
            elif info.offset_data + info.size > size:
                raise tarfile.ReadError("unexpected end of data")
            else:
                yield name, info
        file.seek(vars(archive)["offset"])
        if not file.read(1):
            raise tarfile.ReadError("no end-of-archive marker")


def _plain_tree(path: Path) -> Tree:
    files: dict[str, FileRef] = {}
    broken: list[Broken] = []
    with path.open("rb") as file:
        try:
            for name, info in plain_members(file, path, broken):
                file.seek(info.offset_data)
                if is_wanted(name, file.read(min(HEAD, info.size))):
                    files[name] = Slice(str(path), info.offset_data, info.size, name)
        except ENDS_EARLY as error:
            if _is_about_the_disk(error):
                raise
            broken.append(_ends_early(path, error))
    return Tree(str(path), files, tuple(broken))


def _ends_early(path: Path, error: BaseException) -> Broken:
    return Broken(path.name, f"the archive ends early or is damaged: {error}")


def _too_large(name: str, size: int) -> Broken:
    return Broken(name, f"{size} bytes, more than the limit of {MAX_MEMBER}")


@dataclass
class _Copied:
    blob: str
    budget: Budget
    files: dict[str, FileRef] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def _copy_member(archive: tarfile.TarFile, member: tarfile.TarInfo, out: BinaryIO, copied: _Copied) -> None:
    name = clean(member.name)
    copied.budget.spend(0)
    if not member.isreg() or not visible(name):
        return
    if member.size > MAX_MEMBER:
        copied.broken.append(_too_large(name, member.size))
        return
    content = archive.extractfile(member)
    assert content is not None, "regular files have content"
    head = content.read(HEAD)
    if not is_wanted(name, head):
        return
    copied.budget.spend(member.size, members=0)
    start = out.tell()
    out.write(head)
    shutil.copyfileobj(content, out, 1 << 20)
    copied.files[name] = Slice(copied.blob, start, out.tell() - start, name)


def _is_about_the_disk(error: BaseException) -> bool:
    """A full or failing disk is not a damaged archive; neither is a spent budget."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in DISK)


def clean(name: str) -> str:
    """Without a way out of the archive: '../../x' and '/x' are x."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")
