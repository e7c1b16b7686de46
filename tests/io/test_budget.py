"""Small files that unpack to large ones are refused before they do."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import UserError
from unnoise.io import budget
from unnoise.sources import open_source


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules for files of kilobytes."""
    monkeypatch.setattr(budget, "FREE", 200_000)


def npz(folder: Path) -> Path:
    np.savez_compressed(folder / "set.npz", images=np.zeros((4000, 32, 32), np.uint8))
    return folder / "set.npz"


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.png", bytes(1_000_000))
    return folder / "set.zip"


def tarred(folder: Path) -> Path:
    with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
        for number in range(8):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = 1_000_000
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return folder / "set.tar.gz"


def gzipped(folder: Path) -> Path:
    header = bytes([0, 0, 8, 3]) + np.array([8000, 32, 32], ">u4").tobytes()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(8000 * 1024)))
    return folder / "train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("make", [npz, zipped, tarred, gzipped])
def test_what_unpacks_to_a_hundred_times_its_size_is_refused(make, tmp_path: Path, own_cache: Path) -> None:
    path = make(tmp_path)
    assert path.stat().st_size < 80_000
    with pytest.raises(UserError, match="unpacks to"):
        open_source(path, progress=False)
    left = sum(file.stat().st_size for file in own_cache.rglob("*") if file.is_file())
    assert left == 0, "nothing stays in the cache"


def test_a_header_that_announces_more_than_its_file_holds_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", stream.getvalue())
    with pytest.raises(UserError, match="announces 1000000x1000x1000 values"):
        open_source(tmp_path / "set.npz", progress=False)


def test_only_what_is_data_is_unpacked_from_a_tar(tmp_path: Path, own_cache: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(picture, "PNG")
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        for name, data in (("a.png", picture.getvalue()), ("film.mp4", bytes(5_000_000))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert open_source(tmp_path / "set.tar.gz", progress=False).names == ("a.png",)


def test_a_source_has_a_largest_number_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_MEMBERS", 5)
    monkeypatch.setattr(budget, "FREE", 1 << 30)
    with pytest.raises(UserError, match="more than 5 members"):
        open_source(zipped(tmp_path), progress=False)
