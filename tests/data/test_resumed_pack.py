"""Packing that is killed, interrupted or damaged on the way, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from unnoise.data import pack, pool
from unnoise.data.cache_entries import cache_entries, clear_cache
from unnoise.sources import open_source

COUNT = 40


@pytest.fixture
def folder(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pack, "CHUNK", 4)
    monkeypatch.setattr(pool, "cores", lambda: 1)  # what counts calls stays in this process
    for i in range(COUNT):
        draw(f"{'ab'[i % 2]}/{i:03d}.png", 16, 12, 3, seed=i)
    (tmp_path / "set" / "a" / "010.png").write_text("broken")
    return tmp_path / "set"


def partial(cache: Path) -> Path:
    (found,) = (path for path in (cache / "packed").iterdir() if path.suffix == ".partial")
    return found


def interrupted_after(chunks: int, monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "decode_chunk") -> None:
    """Packs until Ctrl-C after so many chunks."""
    real, done = getattr(pack, name), []

    def counted(*arguments: object) -> object:
        if len(done) == chunks:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pack, name, counted)
        with pytest.raises(KeyboardInterrupt):
            open_source(folder, progress=False)


def counting(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    real, calls = getattr(pack, name), []

    def counted(*arguments: object) -> object:
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(pack, name, counted)
    return calls


@pytest.mark.parametrize("after", [0, 3, 9])
def test_blocks_that_are_done_are_not_decoded_again(
    after: int, folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = open_source(folder, progress=False, cache=tmp_path / "other")
    interrupted_after(after, monkeypatch, folder)
    assert [entry.source for entry in cache_entries(own_cache)] == [f"{folder} (unfinished)"]
    probed, decoded = counting(monkeypatch, "probe_chunk"), counting(monkeypatch, "decode_chunk")
    images = open_source(folder, progress=False)
    assert (len(probed), len(decoded)) == (0, 10 - after)
    assert images.fingerprint == whole.fingerprint
    assert images.broken == whole.broken
    assert images.sizes == whole.sizes == {(12, 16): COUNT - 1}
    assert not list((own_cache / "packed").glob("*.partial"))
    (entry,) = (path for path in (own_cache / "packed").iterdir() if path.is_dir())
    assert {path.name for path in entry.iterdir()} == {"pixels.npy", "labels.npy", "meta.json"}


def test_reading_the_headers_goes_on_too(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_after(4, monkeypatch, folder, "probe_chunk")
    probed = counting(monkeypatch, "probe_chunk")
    assert len(open_source(folder, progress=False)) == COUNT - 1
    assert len(probed) == 10 - 4


def test_rows_that_did_not_reach_the_disk_are_decoded_again(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a power cut the journal may know of rows that the disk does not have."""
    whole = open_source(folder, progress=False, cache=tmp_path / "other")
    interrupted_after(6, monkeypatch, folder)
    file = partial(own_cache) / "pixels.npy"
    data = bytearray(file.read_bytes())
    row = 16 * 12 * 3
    start = len(data) - (COUNT - 1) * row + 8 * row  # the third block
    data[start : start + row] = bytes(row)
    file.write_bytes(data)
    decoded = counting(monkeypatch, "decode_chunk")
    assert open_source(folder, progress=False).fingerprint == whole.fingerprint
    assert len(decoded) == 10 - 2


def test_a_changed_source_begins_anew(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, draw) -> None:
    interrupted_after(6, monkeypatch, folder)
    draw("b/999.png", 16, 12, 3, seed=999)
    decoded = counting(monkeypatch, "decode_chunk")
    assert len(open_source(folder, progress=False)) == COUNT
    assert len(decoded) == 10
    clear_cache(own_cache, "all")
    assert cache_entries(own_cache) == []


def test_a_packing_that_was_killed_goes_on(folder: Path, own_cache: Path, tmp_path: Path) -> None:
    """SIGKILL to all of its processes, in the midst of decoding, which a slow decoder stretches."""
    whole = open_source(folder, progress=False, cache=tmp_path / "other")
    code = (
        "import time\n"
        "from unnoise.data import pack, pool\n"
        "from unnoise.sources import open_source\n"
        "real = pack.decode_chunk\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.2)\n"
        "    return real(*arguments)\n"
        "pack.CHUNK, pack.decode_chunk = 4, slow\n"
        "pool.cores = lambda: 1\n"
        f"open_source({str(folder)!r}, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    limit = time.monotonic() + 60
    while len(done := list(own_cache.glob("packed/*.partial/decoded.jsonl"))) < 1 or _lines(done[0]) < 4:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = _lines(partial(own_cache) / "decoded.jsonl") - 1
    assert 3 <= finished < 10
    with pytest.MonkeyPatch.context() as patch:
        decoded = counting(patch, "decode_chunk")
        images = open_source(folder, progress=False)
    assert len(decoded) == 10 - finished
    assert images.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(images.pixels, whole.pixels)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def test_the_journal_names_the_source(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_after(2, monkeypatch, folder)
    head = json.loads((partial(own_cache) / "probed.jsonl").read_text().splitlines()[0])
    assert head["source"] == str(folder)
    assert head["count"] == COUNT
