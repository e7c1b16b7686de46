from __future__ import annotations

import pytest

import unnoise.progress as module
from unnoise.progress import progress


def test_a_pipe_gets_plain_lines_on_standard_error(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    with progress("packing x", 10, shown=True) as advance:
        advance(4)
        advance(6)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "packing x: 4 of 10 images\npacking x: 10 of 10 images\n"


def test_switched_off_is_silent(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    with progress("packing x", 10, shown=False) as advance:
        advance(4)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress("packing x", 10, shown=True) as advance:
        advance(10)
    out, err = capsys.readouterr()
    assert out == ""
    assert "10/10" in err
