"""The part of a run's page that says what was measured of it: `unnoise evaluate` writes it, and a training keeps it."""

from __future__ import annotations

from pathlib import Path

from unnoise.files import write_atomic

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
"""What stands around it. Text of others is escaped in pages, so neither is in it."""


def measured_part(page: Path) -> str:
    """The part of a page, with what stands around it; an empty one where there is no page, or one without it."""
    _, begin, rest = _text(page).partition(BEGIN)
    part, end, _ = rest.partition(END)
    return f"{BEGIN}{part if begin and end else ''}{END}"


def replace_measured(page: Path, part: str) -> None:
    """Writes the page with another part; a page that is not there, or has no place for it, stays as it is."""
    before, begin, rest = _text(page).partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        write_atomic(page, f"{before}{BEGIN}{part}{END}{after}")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.is_file() else ""
