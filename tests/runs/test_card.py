"""What a notebook shows of a run."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from unnoise.data import save_png
from unnoise.runs.run import Run

CONFIG = {"recipe": "<b>mine</b>", "found": {"images": 1200, "channels": 1, "height": 8, "width": 8, "classes": []}}


def test_the_newest_grid_and_the_newest_numbers(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", CONFIG)
    for step, shade in ((90, 0), (100, 255)):
        save_png(np.full((1, 9, 9), shade, np.uint8), run.folder / "samples" / f"{step}.png")
    lines = [{"step": 90, "loss": 2.0}, {"step": 100, "loss": 0.12345, "copies": None}]
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = run._repr_html_()
    newest = (run.folder / "samples" / "100.png").read_bytes()
    assert base64.b64encode(newest).decode() in shown
    assert ">100</td>" in shown
    assert ">0.123</td>" in shown
    assert "1,200 images of 8x8x1" in shown
    assert "&lt;b&gt;mine" in shown
    assert "copies" not in shown


def test_a_run_without_pictures_and_numbers(tmp_path: Path) -> None:
    shown = Run(tmp_path, CONFIG)._repr_html_()
    assert "<img" not in shown
    assert "loss" not in shown
