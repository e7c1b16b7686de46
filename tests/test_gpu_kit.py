"""The GPU kit runs on a CPU in its small form, and its page is what its figures say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "benchmarks" / "gpu"


def test_the_page_is_made_of_the_figures() -> None:
    spec = spec_from_file_location("gpu_report", KIT / "report.py")
    assert spec is not None
    assert spec.loader is not None
    report = module_from_spec(spec)
    spec.loader.exec_module(report)
    assert (ROOT / "docs" / "gpu.md").read_text() == report.page(), "run python benchmarks/gpu/report.py"


@pytest.mark.parametrize("part", ["machine", "training", "sampling", "pictures"])
def test_every_part_leaves_its_figures(part: str, tmp_path: Path) -> None:
    command = [sys.executable, str(KIT / "kit.py"), "--small", "--minutes", "4", "--only", part, "--out", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / f"{part}.json").read_text())
    assert figures
    if part == "training":
        rows = figures["tiny"]["rows"]
        assert all(row.get("images_per_second", 0) > 0 for how, row in rows.items() if how.startswith("unnoise"))
    if part == "sampling":
        assert [row["calls"] for row in figures["rows"]] == [2, 2, 4, 4]
    if part == "pictures":
        assert figures["training"]["steps"] == 4
        assert [line["step"] for line in figures["curve"]] == [4]


def test_a_part_at_its_limit_keeps_what_it_has(tmp_path: Path) -> None:
    command = [sys.executable, str(KIT / "kit.py"), "--small", "--part", "sampling", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--deadline", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
