"""The GPU kit runs on a CPU in its small form, and its page is what its figures say."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "benchmarks" / "gpu"
Kit = Callable[..., None]


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kit]:
    """Runs `kit.py ARGUMENTS` in its small form in this process, and leaves the process as it was."""
    for part in KIT.glob("*.py"):
        monkeypatch.delitem(sys.modules, part.stem, raising=False)  # other benchmarks have some of these names too
    known, path, precision = set(sys.modules), list(sys.path), torch.get_float32_matmul_precision()
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # of the processes that it starts
    monkeypatch.syspath_prepend(KIT)

    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["kit.py", "--small", "--out", str(tmp_path), *words])
        assert import_module("kit").main() == 0

    yield run
    torch.set_float32_matmul_precision(precision)
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if KIT.parent in Path(getattr(sys.modules[name], "__file__", None) or "").parents:
            del sys.modules[name]


def test_the_page_is_made_of_the_figures() -> None:
    spec = spec_from_file_location("gpu_report", KIT / "report.py")
    assert spec is not None
    assert spec.loader is not None
    report = module_from_spec(spec)
    spec.loader.exec_module(report)
    assert (ROOT / "docs" / "gpu.md").read_text() == report.page(), "run python benchmarks/gpu/report.py"


def test_a_part_has_a_process_of_its_own(kit: Kit, tmp_path: Path) -> None:
    kit("--minutes", "4", "--only", "machine")
    assert json.loads((tmp_path / "machine.json").read_text())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["training", "sampling", "pictures"])
def test_every_part_leaves_its_figures(part: str, kit: Kit, tmp_path: Path) -> None:
    kit("--part", part, "--deadline", str(time.time() + 240))
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


def test_a_part_at_its_limit_keeps_what_it_has(kit: Kit, tmp_path: Path) -> None:
    kit("--part", "sampling", "--deadline", "1")
