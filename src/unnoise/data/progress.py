"""Progress on standard error: a bar on a terminal, plain lines on a pipe, nothing when switched off."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]

LINE_EVERY = 2.0  # seconds between two plain lines


@contextmanager
def progress(title: str, total: int, shown: bool, unit: str = "images") -> Iterator[Advance]:
    """Gives the function to call with the number of items done since its last call."""
    if not shown:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        yield _lines(title, total, unit)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def _lines(title: str, total: int, unit: str) -> Advance:
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            print(f"{title}: {done} of {total} {unit}", file=sys.stderr, flush=True)

    return advance
