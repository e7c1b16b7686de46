"""unnoise show, as a user types it."""

from __future__ import annotations

import json

import pytest

from unnoise.cli.show import show
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
