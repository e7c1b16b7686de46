"""Zip and tar archives as trees; members are read in memory and never extracted under their own names."""

from __future__ import annotations

import posixpath
import shutil
import tarfile
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from unnoise.data.tree import MAX_BYTES, Broken, Place, Slice, Tree, ZipMember, visible

_ENDS_EARLY = (EOFError, tarfile.TarError, OSError, zlib.error, LZMAError)


def zip_tree(path: Path) -> Tree:
    """The visible members of a zip."""
    with zipfile.ZipFile(path) as archive:
        members = [info.filename for info in archive.infolist() if not info.is_dir()]
    places: dict[str, Place] = {_clean(name): ZipMember(str(path), name) for name in members if visible(_clean(name))}
    return Tree(str(path), places)


def tar_tree(path: Path, work: Path) -> Tree:
    """The visible members of a tar, compressed or not.

    A compressed tar can only be read from front to back, so its members are copied, one behind the other, into the
    single file `work`/members, which allows any order afterwards. Links, devices and members beyond the size limit
    are left out; an archive that ends early gives the members before the damage and one `Broken`.
    """
    places: dict[str, Place] = {}
    broken: list[Broken] = []
    blob = work / "members"
    with blob.open("wb") as out:
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    _copy_member(archive, member, out, str(blob), places, broken)
        except _ENDS_EARLY as error:
            broken.append(Broken(path.name, f"the archive ends early or is damaged: {error}"))
    return Tree(str(path), places, tuple(broken))


def _copy_member(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    out: BinaryIO,
    blob: str,
    places: dict[str, Place],
    broken: list[Broken],
) -> None:
    name = _clean(member.name)
    if not member.isreg() or not visible(name):
        return
    if member.size > MAX_BYTES:
        broken.append(Broken(name, f"{member.size} bytes, more than the limit of {MAX_BYTES}"))
        return
    start, content = out.tell(), archive.extractfile(member)
    assert content is not None, "regular files have content"
    shutil.copyfileobj(content, out, 1 << 20)
    places[name] = Slice(blob, start, out.tell() - start)


def _clean(name: str) -> str:
    """Without a way out of the archive: '../../x' and '/x' are x."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")
