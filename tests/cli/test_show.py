"""unnoise show, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from unnoise.cli.show import show
from unnoise.data.pictures import save_gif
from unnoise.errors import UserError
from unnoise.io.picture_reader import drawn_here
from unnoise.lectures import FIGURES


def test_help_lists_every_figure() -> None:
    assert show.__doc__ is not None
    for name, entry in FIGURES.items():
        assert f"`{f'{name} {entry.takes}'.strip()}`: {entry.says}" in show.__doc__


def test_it_prints_one_object(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("show")
    monkeypatch.chdir(folder)
    show("schedules", json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["out"] == "schedules.png"
    assert [path.name for path in folder.iterdir()] == ["schedules.png"]


def test_only_figures_of_its_own_are_drawn_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Image.new("L", (16, 16), 90)
    mine.save("forward.png")
    with pytest.raises(UserError, match="is what the result is made from"):
        show("forward", "forward.png", overwrite=True)
    mine.save("schedules.png")
    with pytest.raises(UserError, match=r"schedules\.png exists.*--overwrite"):
        show("schedules")
    show("schedules", overwrite=True)
    assert drawn_here(Path("schedules.png"))
    before = Path("schedules.png").stat().st_mtime_ns
    show("schedules")
    assert Path("schedules.png").stat().st_mtime_ns > before
    assert not drawn_here(Path("forward.png"))
    mine.save("corrections.gif")
    with pytest.raises(UserError, match=r"corrections\.gif exists"):
        show("corrections")


def test_moving_figures_are_known_too(tmp_path: Path) -> None:
    save_gif([Image.new("L", (4, 4), grey) for grey in (0, 255)], tmp_path / "a.gif")
    assert drawn_here(tmp_path / "a.gif")
    (tmp_path / "text.gif").write_text("GIF?")
    assert not drawn_here(tmp_path / "text.gif")
    assert not drawn_here(tmp_path / "none.gif")
