"""How far long work has come, and how long it takes."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress


def progress_bar() -> Progress:
    """A bar where standard error is a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)


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
