from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unnoise.data import pack
from unnoise.data.cache import cache_folder
from unnoise.sources import open_source


@pytest.fixture
def folder(tmp_path: Path, draw) -> Path:
    for i in range(6):
        draw(f"{'ab'[i % 2]}/{i}.png", 24, 24, 3, seed=i)
    (tmp_path / "set" / "a" / "bad.png").write_text("bad")
    return tmp_path / "set"


def entries(cache: Path) -> list[Path]:
    return [path for path in (cache / "packed").iterdir() if path.is_dir()]


def test_the_second_open_reads_no_image_and_gives_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_source(folder, progress=False)
    monkeypatch.setattr(pack, "probe_chunk", None)
    monkeypatch.setattr(pack, "decode_chunk", None)
    second = open_source(folder, progress=False)
    assert isinstance(second.pixels, np.memmap)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.labels, second.labels)
    for name in ("classes", "captions", "fingerprint", "broken", "sizes", "notes", "source"):
        assert getattr(first, name) == getattr(second, name)


def test_settings_and_changes_make_entries_of_their_own(folder: Path, own_cache: Path, draw) -> None:
    first = open_source(folder, progress=False)
    open_source(folder, progress=False, size=8)
    assert len(entries(own_cache)) == 2
    target = folder / "a" / "0.png"
    stamps = target.stat().st_atime_ns, target.stat().st_mtime_ns
    draw("a/0.png", 24, 24, 3, seed=99)
    os.utime(target, ns=stamps)
    changed = open_source(folder, progress=False)
    assert changed.fingerprint != first.fingerprint
    assert (changed.pixels[0] != first.pixels[0]).any()


@pytest.mark.parametrize("name", ["pixels.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damaged_entries_are_built_again(name: str, damage: str, folder: Path, own_cache: Path) -> None:
    first = open_source(folder, progress=False)
    expected = first.pixels.copy()
    del first
    (entry,) = entries(own_cache)
    data = bytearray((entry / name).read_bytes())
    if damage == "gone":
        (entry / name).unlink()
    elif damage == "cut":
        (entry / name).write_bytes(data[:-1])
    else:
        data[len(data) * 2 // 3] ^= 1
        (entry / name).write_bytes(data)
    again = open_source(folder, progress=False)
    np.testing.assert_array_equal(again.pixels, expected)
    assert again.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [path.name for path in entries(own_cache)] == [entry.name]


def test_a_build_that_fails_leaves_nothing_behind(folder: Path, own_cache: Path, monkeypatch) -> None:
    def failing(*arguments: object) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(pack, "_kept", failing)
        with pytest.raises(OSError, match="broken"):
            open_source(folder, progress=False)
    assert entries(own_cache) == []
    assert len(open_source(folder, progress=False)) == 6


def test_a_killed_build_is_no_obstacle(folder: Path, own_cache: Path) -> None:
    open_source(folder, progress=False)
    (entry,) = entries(own_cache)
    entry.rename(entry.with_suffix(".partial"))
    (entry.with_suffix(".partial") / "meta.json").unlink()
    assert len(open_source(folder, progress=False)) == 6
    assert [path.name for path in entries(own_cache)] == [entry.name]


def test_several_processes_at_once(folder: Path, own_cache: Path) -> None:
    code = f"from unnoise.sources import open_source; print(open_source({str(folder)!r}, progress=False).fingerprint)"
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    prints = {run.communicate()[0] for run in runs}
    assert all(run.returncode == 0 for run in runs)
    assert prints == {open_source(folder, progress=False).fingerprint + "\n"}
    assert len(entries(own_cache)) == 1


def test_a_cache_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=r"cannot write the cache .* set UNNOISE_CACHE"):
        open_source(folder, progress=False, cache=tmp_path / "file")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path) -> None:
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == own_cache
    monkeypatch.delenv("UNNOISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "unnoise"


@pytest.mark.parametrize("where", ["posix_fallocate", "write"])
def test_a_full_disk_is_an_error_that_names_the_file(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Room is taken before rows are decoded, and rows are written, not mapped: no process is killed on the way."""

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "write":
        monkeypatch.setattr(np, "save", full)
        source: Path | str = "glyphs:size=16,n=4"
    else:
        if not hasattr(os, where):
            pytest.skip("this system takes no room beforehand")
        monkeypatch.setattr(os, where, full)
        source = folder
    with pytest.raises(OSError, match="disk is full") as caught:
        open_source(source, progress=False)
    assert str(own_cache) in str(caught.value.filename)
    assert not [path for path in (own_cache / "packed").iterdir() if path.is_dir()]
