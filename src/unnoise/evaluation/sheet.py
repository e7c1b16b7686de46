"""One picture of a comparison: every row's samples of the same seeds below one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from unnoise.data.pictures import labelled_rows
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry
from unnoise.evaluation.table import brief_names
from unnoise.evaluation.target import Target
from unnoise.samplers import Sampler
from unnoise.sampling.sampler_choice import choose_sampler

COLUMNS = 12
"""Seeds that the picture shows."""

Row = tuple[Target, np.ndarray]


def by_itself(context: Context, measured: Sequence[Sampler | None]) -> Row | None:
    """The samples of a run by its own sampler in its own number of steps, such as a teacher's in its many; None where
    one of its rows is measured so, and for what has no sampler."""
    target = context.target
    if target.sampler is None or target.run is None:
        return None
    own = choose_sampler(target.run, None, {})
    if own in measured:
        return None
    settings, data = context.settings, context.train if target.condition_names else None
    alone = replace(target, sampler=own, guidance=1.0)
    return alone, alone.draw(COLUMNS, data, settings.seed, settings.batch_size, settings.precision).pixels


def sheet(entries: Sequence[Entry], alone: Sequence[Row]) -> Image.Image | None:
    """The rows of a comparison, run by run, each run's own way after what was measured of it; None without samples.

    alone: what `by_itself` gave.
    """
    names = brief_names([entry.target.name for entry in entries])
    rows: list[tuple[str, np.ndarray]] = []
    for name in names:
        of_run = [entry for entry in entries if entry.target.name == name and entry.samples is not None]
        rows += [(_label(names[name], entry.how), entry.samples) for entry in of_run if entry.samples is not None]
        rows += [(_label(names[name], _how(target)), pixels) for target, pixels in alone if target.name == name]
    return labelled_rows([(label, pixels[:COLUMNS]) for label, pixels in rows]) if rows else None


def _label(name: str, how: str) -> str:
    return f"{name}\n{how}" if how else name


def _how(target: Target) -> str:
    assert target.sampler is not None
    return f"{type(target.sampler).__name__} {target.sampler.steps} steps"
