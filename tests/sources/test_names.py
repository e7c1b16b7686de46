"""A path that exists goes before a built-in name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import UserError
from unnoise.sources import open_source


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_a_folder_called_like_a_built_in_set_is_opened_and_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)).save(tmp_path / name / "a.png")
    monkeypatch.chdir(tmp_path)
    images = open_source(name)
    assert images.shape == (1, 20, 20)
    line = capsys.readouterr().err
    assert str(tmp_path / name) in line
    assert f"builtin:{name}" in line


def test_the_built_in_set_is_asked_for_explicitly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_source("builtin:digits", progress=False).shape == (1, 8, 8)
    assert open_source("builtin:glyphs:size=16,n=2", progress=False).shape == (3, 16, 16)
    with pytest.raises(UserError, match="nor a built-in set"):
        open_source("builtin:photos", progress=False)
