from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unnoise.data import pool
from unnoise.data.pool import Workers


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def test_few_chunks_stay_in_this_process() -> None:
    with Workers(few=8) as workers:
        assert list(workers.map(square, [(3,), (4,)], 2)) == [(9, os.getpid()), (16, os.getpid())]


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path, draw) -> None:
    for i in range(70):
        draw(f"{i:03d}.png", 4, 4, seed=i)
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from unnoise.data import pack, pool\n"
        "from unnoise.sources import open_source\n"
        "pack.CHUNK = 4\n"
        "pool.cores = lambda: 2\n"
        f"images = open_source({str(tmp_path / 'set')!r}, progress=False)\n"
        "print(len(images), images.fingerprint)\n"
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout.split()
    assert out[:2] == ["started", "70"]
    assert len(out) == 3


def test_processes_and_one_process_give_the_same_bits(
    tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    from unnoise.data import pack
    from unnoise.sources import open_source

    for i in range(70):
        draw(f"{i:03d}.png", 6, 5, 3, seed=i)
    (tmp_path / "set" / "033.png").write_text("broken")
    alone = open_source(tmp_path / "set", progress=False)
    monkeypatch.setattr(pack, "CHUNK", 4)
    monkeypatch.setattr(pool, "cores", lambda: 2)
    together = open_source(tmp_path / "set", progress=False, cache=own_cache / "other")
    assert together.fingerprint == alone.fingerprint
    assert together.broken == alone.broken
    assert len(together) == 69
