"""The comparison of quality against time runs, keeps its cells and makes its table of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a few emoji-like pictures."""
    folder = tmp_path / "data" / "noto-emoji"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for index in range(900):
        Image.fromarray(draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "data"


def run(data: Path, out: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "time_to_quality.py"), "--sets", "emoji"]
    command += ["--contenders", "unnoise", "--minutes", "0.01", "--seeds", "0", "--samples", "64", "--clock", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "UNNOISE_CACHE": str(out / "cache")}
    done = subprocess.run(
        [*command, "--data", str(data), "--out", str(out)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_cell_is_made_once_and_the_table_has_it(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(data, out)
    cell = out / "cells" / "emoji-unnoise-0.01-0.json"
    made = json.loads(cell.read_text())
    assert made["steps"] >= 1
    assert made["imagenet"]["fid"] > 0
    assert (
        f"| emoji | unnoise | 0.01 | 1 | imagenet | {made['imagenet']['fid']:.2f} |" in (out / "table.md").read_text()
    )
    before = cell.stat().st_mtime_ns
    run(data, out)
    assert cell.stat().st_mtime_ns == before
