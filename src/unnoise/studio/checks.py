"""Bounds of what a request may ask for."""

from __future__ import annotations

from typing import Any

from unnoise.errors import UserError


def bounded(name: str, value: Any, most: int, least: int = 1) -> None:
    """Raises UserError unless `value` is a whole number from `least` to `most`."""
    if not isinstance(value, int) or not least <= value <= most:
        raise UserError(f"{name} has to be a whole number from {least} to {most}, got {str(value)[:40]}")
