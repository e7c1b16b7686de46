"""A path that exists goes before a built-in name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unnoise.errors import UserError
from unnoise.sources import open_source, resolved, stem


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


def a_run(folder: Path) -> None:
    """A folder that looks like a run with a grid of samples."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.toml").write_text('unnoise = "0.1.0"\n')
    Image.new("L", (20, 20)).save(folder / "samples" / "1.png")


def test_a_run_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its grids of samples used to be what `digits` meant in a folder where a run had that name."""
    a_run(tmp_path / "digits")
    a_run(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert open_source("digits", progress=False).shape == (1, 8, 8)
    with pytest.raises(UserError, match="photos is a run of unnoise and no data"):
        open_source("photos", progress=False)
    assert open_source(Path("photos/samples"), progress=False).shape == (1, 20, 20)


def test_what_a_name_means_is_written_so_that_it_means_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved("digits") == resolved("builtin:digits") == "builtin:digits"
    assert resolved("glyphs:size=16,n=2") == "builtin:glyphs:size=16,n=2"
    (tmp_path / "digits").mkdir()
    assert resolved("digits") == resolved(Path("digits")) == str(tmp_path / "digits")
    with pytest.raises(UserError, match="did you mean 'digits'"):
        resolved("digit")


def test_files_are_named_after_what_was_opened() -> None:
    assert [stem(name) for name in ("builtin:digits", "glyphs:64", "/a/b.tar.gz", Path("c"))] == [
        "digits",
        "glyphs-64",
        "b",
        "c",
    ]
