from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import unnoise.progress as module
from unnoise.progress import CLEARED, counting, progress


def test_a_pipe_gets_plain_lines_on_standard_error(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    with progress("packing x", 10, shown=True) as advance:
        advance(4)
        advance(6)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "packing x: 4 of 10 images\npacking x: 10 of 10 images\n"


def test_lines_tell_the_time_left_by_the_rate_since_the_first_items(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """10 in the first 100 s, when processes start, then 10 in 5 s: the last 60 take 30 s. What was done before, and the
    first items, say nothing about the rate."""
    clock = iter([0.0, 100.0, 105.0, 135.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress("packing x", 100, shown=True, done=20) as advance:
        advance(10)
        advance(10)
        advance(60)
    assert capsys.readouterr().err.splitlines() == [
        "packing x: 30 of 100 images",
        "packing x: 40 of 100 images, 30 s left",
        "packing x: 100 of 100 images",
    ]


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


@pytest.mark.parametrize(("terminal", "seconds", "shown"), [(True, 0.4, True), (True, 0.1, False), (False, 9, False)])
def test_a_late_bar_comes_on_a_terminal_after_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys, terminal: bool, seconds: float, shown: bool
) -> None:
    """Four steps of 0.4 s take longer than a second, of 0.1 s they do not."""
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds * next(clock))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    bars: list[list[int]] = []

    @contextmanager
    def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
        bars.append([])
        yield bars[-1].append

    monkeypatch.setattr(module, "_bar", bar)
    with module.late_bar("sampling", 4) as advance:
        for _ in range(4):
            advance()
    assert bars == ([[3, 1]] if shown else [])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [False, True])
def test_counting_tells_how_many_there_are_once_it_takes_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys, terminal: bool
) -> None:
    clock = iter([0.0, 0.9, 1.1, 1.2, 4.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(module, "LINE_EVERY", 1.0)
    with counting("looking through x", True, "files") as advance:
        for count in (500, 500, 1000, 1000):
            advance(count)
    told = ["looking through x: 1,000 files", "looking through x: 3,000 files"]
    expected = "".join(f"{CLEARED}{text}" for text in told) + CLEARED if terminal else "\n".join([*told, ""])
    assert capsys.readouterr().err == expected
