"""A run as a notebook shows it: its newest grid and its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from unnoise.runs.charts import short
from unnoise.runs.config import Config
from unnoise.runs.curves import newest
from unnoise.runs.html import png_url, render
from unnoise.runs.metrics_file import METRICS_FILE
from unnoise.runs.pictures import drawn, picture_file

MEASURED = ("loss", "validation_loss", "held_out_loss", "images_per_second", "copies")
"""What a card shows of the newest values."""


class Shown(Protocol):
    """What a card reads of a run."""

    @property
    def folder(self) -> Path: ...

    @property
    def config(self) -> Config: ...

    @property
    def shape(self) -> tuple[int, int, int]: ...


def card(run: Shown) -> str:
    """The HTML of a run's card."""
    steps = drawn(run.folder)
    picture = png_url(picture_file(run.folder, steps[-1]).read_bytes()) if steps else None
    return render("card.html", name=str(run.folder), rows=_rows(run), picture=picture)


def _rows(run: Shown) -> list[tuple[str, str]]:
    """(what, value)."""
    channels, height, width = run.shape
    values = newest(run.folder / METRICS_FILE)
    measured = [(key.replace("_", " "), short(values[key])) for key in MEASURED if _is_number(values.get(key))]
    images = run.config["found"]["images"]
    return [
        ("recipe", str(run.config["recipe"])),
        ("data", f"{images:,} images of {width}x{height}x{channels}"),
        ("step", f"{values.get('step', 0):,}"),
        *measured,
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
