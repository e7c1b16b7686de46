from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import UserError
from unnoise.io import tree
from unnoise.sources import open_source


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)


def test_hostile_names_and_links_do_nothing(tmp_path: Path) -> None:
    members = {"../../evil.png": picture(0), "/abs.png": picture(1), "ok.png": picture(2)}
    write_tar(tmp_path / "set.tar.gz", members, links=("link.png",))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    before = {path for path in tmp_path.parent.rglob("*") if "cache" not in str(path)}
    for name in ("set.tar.gz", "set.zip"):
        assert len(open_source(tmp_path / name, progress=False)) == 3
    assert {path for path in tmp_path.parent.rglob("*") if "cache" not in str(path)} == before


def test_an_archive_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "set.tar.gz"
    write_tar(path, {f"{i}.png": picture(i) for i in range(20)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    images = open_source(path, progress=False)
    assert 0 < len(images) < 20
    assert images.broken[0].name == "set.tar.gz"
    with pytest.raises(ValueError, match=r"set\.tar\.gz"):
        open_source(path, progress=False, strict=True)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_members_beyond_the_size_limit_are_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"big.png": picture(0) + bytes(10_000), "small.png": picture(1)}
    path = tmp_path / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        write_tar(path, members)
    monkeypatch.setattr(tree, "MAX_MEMBER", 5000)
    monkeypatch.setattr("unnoise.sources.archive.MAX_MEMBER", 5000)
    images = open_source(path, progress=False)
    assert len(images) == 1
    assert [item.name for item in images.broken] == ["big.png"]
    assert "more than the limit of 5000" in images.broken[0].reason


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", picture(0))
        archive.writestr("b.png", picture(1))
    data = bytearray(path.read_bytes())
    at = data.index(picture(1)) + 200
    data[at] ^= 255
    path.write_bytes(data)
    images = open_source(path, progress=False)
    assert len(images) == 1
    assert images.broken[0].name == "b.png"
    assert "CRC" in images.broken[0].reason


def test_an_archive_replaced_in_place_is_read_anew(tmp_path: Path) -> None:
    first = None
    for seed in (1, 2):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.writestr("a.png", picture(seed))
        images = open_source(tmp_path / "set.zip", progress=False)
        assert images.fingerprint != first
        first = images.fingerprint


@pytest.mark.parametrize(
    "error", [zipfile.BadZipFile("bad"), OSError(22, "Invalid argument"), ValueError("negative seek")]
)
def test_a_damaged_member_is_one_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("metadata.jsonl", "{}")
    tree.close_archives()

    def damaged(*arguments: object) -> bytes:
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "read", damaged)
    with pytest.raises(UserError, match="damaged in the archive"):
        tree.ZipMember(str(tmp_path / "set.zip"), "metadata.jsonl").open()
    tree.close_archives()
