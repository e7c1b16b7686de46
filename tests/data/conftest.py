"""Every test of the data package packs into a cache of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("UNNOISE_CACHE", str(folder))
    monkeypatch.delenv("UNNOISE_DATA", raising=False)
    return folder


@pytest.fixture
def draw(tmp_path: Path):
    """Writes a picture of random pixels below `tmp_path / set` and gives its array (H, W[, C])."""

    def write(name: str, *shape: int, seed: int = 0, **options) -> np.ndarray:
        array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return array

    return write
