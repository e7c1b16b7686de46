from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from unnoise.cli import app
from unnoise.data import cache_entries as module
from unnoise.data import room
from unnoise.data.cache_entries import DAY, cache_entries, clear_cache, entry_lines
from unnoise.data.journal import Journal
from unnoise.data.pack import PROBED
from unnoise.errors import UserError
from unnoise.sources import open_source

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def sets(tmp_path: Path, draw, own_cache: Path) -> Path:
    """Two packed sets, features, texts, and a file that is not unnoise's."""
    for i in range(4):
        draw(f"{i}.png", 20, 30, 3, seed=i)
    open_source(tmp_path / "set", progress=False, size=(10, 15))
    open_source(tmp_path / "set", progress=False, size=8)
    (own_cache / "features").mkdir()
    (own_cache / "features" / "abc.bin").write_bytes(bytes(500))
    (own_cache / "text-0.bin").write_bytes(bytes(70))
    (own_cache / "holiday.jpg").write_bytes(b"mine")
    return tmp_path / "set"


def aged(path: Path, days: float) -> None:
    for file in (path, *path.rglob("*")):
        os.utime(file, (time.time() - days * DAY,) * 2)


def test_entries_tell_source_size_and_last_use(sets: Path, own_cache: Path) -> None:
    found = cache_entries(own_cache)
    assert [entry.kind for entry in found].count("packed") == 2
    assert {entry.source for entry in found if entry.kind == "packed"} == {
        f"{sets} (4 images of 15x10)",
        f"{sets} (4 images of 12x8)",
    }
    assert {(entry.kind, entry.bytes) for entry in found if entry.kind != "packed"} == {
        ("features", 500),
        ("texts", 70),
    }
    for entry in found:
        assert entry.bytes == sum(f.stat().st_size for f in (entry.path, *entry.path.rglob("*")) if f.is_file())
        assert abs(entry.used - time.time()) < 60
    last = entry_lines(found, own_cache)[-1]
    assert f"{len(found)} entries in {own_cache}" in last


def test_reading_a_set_renews_it(sets: Path, own_cache: Path) -> None:
    for path in (own_cache / "packed").iterdir():
        aged(path, 40)
    open_source(sets, progress=False, size=8)
    cleared = clear_cache(own_cache, "30")
    assert [entry.source for entry in cleared.removed] == [f"{sets} (4 images of 15x10)"]
    assert {entry.kind for entry in cache_entries(own_cache)} == {"packed", "features", "texts"}


def test_all_goes_and_nothing_else(sets: Path, own_cache: Path) -> None:
    clear_cache(own_cache, "all")
    assert cache_entries(own_cache) == []
    assert (own_cache / "holiday.jpg").read_bytes() == b"mine"
    assert len(open_source(sets, progress=False, size=8)) == 4


def test_a_set_that_is_being_packed_stays(sets: Path, own_cache: Path) -> None:
    entry = next(entry for entry in cache_entries(own_cache) if entry.kind == "packed")
    lock = str(entry.path.with_suffix(".lock"))
    code = (
        f"from filelock import FileLock\nheld = FileLock({lock!r})\nheld.acquire()\nprint('held', flush=True)\ninput()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "held\n"
    try:
        cleared = clear_cache(own_cache, "all")
    finally:
        other.communicate("\n")
    assert cleared.busy == (entry,)
    assert entry.path.is_dir()
    with FileLock(lock, timeout=0):
        pass


def test_unfinished_and_damaged_sets_are_named(sets: Path, own_cache: Path) -> None:
    first, second = (path for path in (own_cache / "packed").iterdir() if path.is_dir())
    first.rename(first.with_suffix(".partial"))
    with Journal(first.with_suffix(".partial") / PROBED, {"source": "photos"}):
        pass
    (second / "meta.json").write_text("{")
    named = {entry.source for entry in cache_entries(own_cache) if entry.kind == "packed"}
    assert named == {"photos (unfinished)", f"{second.name} (damaged)"}


@pytest.mark.parametrize("given", ["", "-3", "week", "1.5", "٣"])
def test_only_days_or_all_clear(given: str, sets: Path, own_cache: Path) -> None:
    before = cache_entries(own_cache)
    with pytest.raises(ValueError, match="--clear-cache takes all, or days"):
        clear_cache(own_cache, given)
    assert cache_entries(own_cache) == before


def test_an_empty_cache(tmp_path: Path) -> None:
    assert cache_entries(tmp_path / "none") == []
    assert "0 entries" in entry_lines([], tmp_path / "none")[0]


def test_every_folder_that_unnoise_caches_in_is_listed() -> None:
    """What names a folder of the cache in the code is known to the list."""
    source = Path(module.__file__).parents[1]
    used = {
        line.split("cache_folder() / ")[1].split('"')[1]
        for file in source.rglob("*.py")
        for line in file.read_text("utf-8").splitlines()
        if 'cache_folder() / "' in line
    }
    assert used
    assert used <= set(module.FOLDERS)


@pytest.mark.parametrize("kind", ["files", "array"])
def test_a_set_that_would_fill_the_disk_is_refused(
    kind: str, tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    for i in range(3):
        draw(f"{i}.png", 40, 40, 3, seed=i)
    np.save(tmp_path / "set.npy", np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8))
    source = tmp_path / ("set" if kind == "files" else "set.npy")
    needed = 3 * 40 * 40 * (4 if kind == "files" else 3)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, int(needed / room.SHARE) - 1))
    with pytest.raises(ValueError, match=r"--clear-cache 30.*UNNOISE_CACHE"):
        open_source(source, progress=False)
    assert cache_entries(own_cache) == []
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, int(needed / room.SHARE) + 1))
    assert len(open_source(source, progress=False)) == 3


def test_much_of_the_disk_is_worth_a_line(
    tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("0.png", 40, 40, 3)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(0, 0, 5 * 40 * 40 * 4))
    open_source(tmp_path / "set")
    assert "packing takes 6.2 KiB of 31.2 KiB free" in capsys.readouterr().err


def test_the_command_shows_and_clears(sets: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def json_of(*words: str) -> dict:
        app(["data", *words, "--json"], exit_on_error=False, result_action="return_value")
        return json.loads(capsys.readouterr().out)

    shown = json_of("--cache")
    assert shown["bytes"] == sum(entry["bytes"] for entry in shown["entries"]) > 0
    assert len(shown["entries"]) == 4
    cleared = json_of("--clear-cache", "all")
    assert cleared["freed"] == shown["bytes"]
    assert cleared["bytes"] == 0
    assert json_of("--cache")["entries"] == []
    with pytest.raises(UserError, match="about the whole cache"):
        json_of("digits", "--cache")
    with pytest.raises(UserError, match="name a source"):
        json_of()
