"""Every test here packs into a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def in_own_cache(own_cache: Path) -> Path:
    return own_cache
