"""Zip and tar archives as trees; members are read in memory and never extracted under their own names."""

from __future__ import annotations

import errno
import posixpath
import shutil
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from unnoise.errors import DamagedSource, UserError
from unnoise.files import naming
from unnoise.io.budget import MAX_MEMBER, Budget
from unnoise.io.tree import DAMAGED_ZIP, Broken, FileRef, Slice, Tree, ZipMember, visible
from unnoise.sources.formats import HEAD, is_wanted

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
            name = _clean(info.filename)
            if not info.is_dir() and visible(name):
                budget.spend(info.file_size)
                files[name] = ZipMember(str(path), info.filename)
    return Tree(str(path), files)


def tar_tree(path: Path, work: Path) -> Tree:
    """The visible members of a tar, compressed or not.

    A compressed tar can only be read from front to back, so its members are copied, one behind the other, into the
    single file `work`/members, which allows any order afterwards. Links, devices, members that are no data and members
    beyond the size limit are left out; an archive that ends early gives the members before the damage and one `Broken`.
    """
    copied = _Copied(str(work / "members"), Budget(str(path), path.stat().st_size))
    with open(copied.blob, "wb") as out, naming(Path(copied.blob)):
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    _copy_member(archive, member, out, copied)
        except ENDS_EARLY as error:
            if _is_about_the_disk(error):
                raise
            copied.broken.append(Broken(path.name, f"the archive ends early or is damaged: {error}"))
    return Tree(str(path), copied.files, tuple(copied.broken))


@dataclass
class _Copied:
    blob: str
    budget: Budget
    files: dict[str, FileRef] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def _copy_member(archive: tarfile.TarFile, member: tarfile.TarInfo, out: BinaryIO, copied: _Copied) -> None:
    name = _clean(member.name)
    copied.budget.spend(0)
    if not member.isreg() or not visible(name):
        return
    if member.size > MAX_MEMBER:
        copied.broken.append(Broken(name, f"{member.size} bytes, more than the limit of {MAX_MEMBER}"))
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


def _clean(name: str) -> str:
    """Without a way out of the archive: '../../x' and '/x' are x."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")
