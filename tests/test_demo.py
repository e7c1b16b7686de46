from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise import demo


def test_the_page_stands_alone_and_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SAMPLES", 4)
    monkeypatch.setattr(demo, "Ancestral", lambda steps: demo.DDIM(steps=20))
    result = demo.run_demo(tmp_path / "demo", minutes=0.02)
    page = (tmp_path / "demo" / "index.html").read_text()
    assert result["page"].endswith("index.html")
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page
    for name in ("real", "ddpm", "ddim", "strip", "loss"):
        assert (tmp_path / "demo" / "samples" / f"{name}.png").is_file()


def test_running_mean_is_the_mean_of_the_last_part() -> None:
    values = np.arange(100.0)
    smooth = demo._running_mean(values, 0.1)
    assert smooth[0] == 0
    assert smooth[99] == np.mean(values[90:])
