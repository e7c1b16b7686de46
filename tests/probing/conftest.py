from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run(small_run: Path) -> Path:
    return small_run
