"""How far long work has come, on standard error: a bar on a terminal, plain lines on a pipe, nothing when switched off.

rich is imported when a bar is shown, so that worker processes and short commands do without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

JOINERS = "\u200c\u200d"
"""Invisible, but part of how several scripts and emoji are written."""

Advance = Callable[[int], None]

CLEARED = "\r\x1b[K"  # to the beginning of the line, of which nothing is left
COUNT_EVERY = 0.2  # seconds between two counts on a terminal
LINE_EVERY = 2.0  # seconds between two plain lines
WORTH_TELLING = 10.0  # seconds left from which on they are told
_shows = True
BAR_AFTER = 1.0  # seconds of work before `late_bar` shows one


def printable(text: object) -> str:
    """One line that is safe on a terminal: control characters, line breaks, changes of direction and bytes that are
    no text become escapes, such as '\\x1b' and '\\n'. All text that others wrote passes through here on its way out."""
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in str(text))


def leave_to_first() -> None:
    """From here on this process shows nothing but errors: it is one of several, and another shows what there is."""
    global _shows
    _shows = False


def shows() -> bool:
    """Whether this process is the one that people see."""
    return _shows


def notice(text: object) -> None:
    """One line for people on standard error."""
    if _shows:
        complain(text)


def complain(text: object) -> None:
    """One line about an error, which every process shows."""
    print(printable(text), file=sys.stderr, flush=True)


def progress_bar() -> Progress:
    """A bar for several tasks where standard error is a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, disable=not (_shows and console.is_terminal))


@contextmanager
def progress(title: str, total: int, shown: bool, unit: str = "images", done: int = 0) -> Iterator[Advance]:
    """Gives the function to call with the number of items done since its last call. done: before the first."""
    if not (shown and _shows):
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        yield _lines(title, total, unit, done)


@contextmanager
def counting(title: str, shown: bool, unit: str) -> Iterator[Advance]:
    """`progress` of work whose end is not known: how many items there are so far, once that takes a second."""
    begun, done, told = time.monotonic(), 0, 0.0
    terminal = sys.stderr.isatty()

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        now = time.monotonic()
        if now - begun >= BAR_AFTER and now - told >= (COUNT_EVERY if terminal else LINE_EVERY):
            told = now
            _count(f"{title}: {done:,} {unit}", terminal)

    if not (shown and _shows):
        yield lambda count: None
        return
    try:
        yield advance
    finally:
        if told and terminal:
            print(CLEARED, end="", file=sys.stderr, flush=True)


def _count(text: str, terminal: bool) -> None:
    """A line that the next one takes the place of, on a terminal."""
    if terminal:
        print(f"{CLEARED}{printable(text)}", end="", file=sys.stderr, flush=True)
    else:
        complain(text)


@contextmanager
def late_bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Gives the function to call after each of `total` steps; a bar appears on a terminal once they take a second."""
    begun, done, shown = time.monotonic(), 0, None
    with ExitStack() as bars:

        def advance() -> None:
            nonlocal done, shown
            done += 1
            if shown is not None:
                shown(1)
            elif done < total and time.monotonic() - begun >= BAR_AFTER and _shows and sys.stderr.isatty():
                shown = bars.enter_context(_bar(title, total))
                shown(done)

        yield advance


def counted(number: float, what: str) -> str:
    """'1 step', '3 steps', '1.5 minutes'."""
    return f"{number:.10g} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """'42 s', '3 min 10 s', '5 h 02 min', '3 d 4 h'."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes} min {whole % 60:02d} s"
    if days < 1:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days} d {hours % 24} h"


@contextmanager
def _bar(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def _lines(title: str, total: int, unit: str, done: int) -> Advance:
    last = time.monotonic()
    timed: tuple[float, int] | None = None  # from the first items on: what came before them was the start of processes

    def advance(count: int) -> None:
        nonlocal done, last, timed
        done += count
        now = time.monotonic()
        if timed is None:
            timed = now, done
        if now - last >= LINE_EVERY:
            last = now
            notice(f"{title}: {done} of {total} {unit}{_left(done - timed[1], total - done, now - timed[0])}")

    return advance


def _left(done: int, left: int, seconds: float) -> str:
    """The time that is left, where it is worth telling."""
    rest = seconds * left / done if done else 0.0
    return f", {duration(rest)} left" if rest >= WORTH_TELLING else ""
