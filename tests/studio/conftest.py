"""A folder of runs that no training made, and a studio over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the studio's extra is not installed: pip install 'unnoise[studio]'")
pytest.importorskip("httpx2", reason="starlette's test client needs httpx2")

from starlette.testclient import TestClient

from unnoise.runs.config import to_toml
from unnoise.studio.app import create_app
from unnoise.studio.settings import Settings

CONFIG = {
    "unnoise": "0.1.0",
    "recipe": "ddpm-digits",
    "source": "digits",
    "seed": 0,
    "found": {"images": 9, "channels": 1, "height": 8, "width": 8, "classes": ["0", "1"], "fingerprint": "ab"},
    "model": {"kind": "diffusion"},
    "objective": {"kind": "denoising"},
    "sampler": {"kind": "ddim", "steps": 50},
    "train": {"steps": 100, "minutes": 0.0, "batch_size": 8},
}


def make_run(folder: Path, lines: int = 10, **changes: Any) -> Path:
    """A run folder: configuration, metrics, a picture of four images."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.toml").write_text(to_toml({**CONFIG, **changes}))
    metrics = [
        {"step": step, "time": float(step), "loss": 1 / step, "images_per_second": 40.0} for step in range(1, lines + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    Image.fromarray(np.zeros((134, 134), np.uint8)).save(folder / "samples" / "10.png")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    make_run(folder / "first")
    make_run(folder / "group" / "second")
    return folder


@pytest.fixture
def settings(runs: Path) -> Settings:
    return Settings(runs, port=8600)


@pytest.fixture
def client(settings: Settings) -> TestClient:
    """A page that is known; no worker is started before a task needs one."""
    return open_client(settings)


def open_client(settings: Settings, **headers: str) -> TestClient:
    known = {"authorization": f"Bearer {settings.token}", **headers}
    return TestClient(
        create_app(settings), base_url="http://127.0.0.1:8600", headers=known, raise_server_exceptions=False
    )
