"""What a comparison holds of every target, and what its page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from unnoise.evaluation.target import Target

Result: TypeAlias = dict[str, Any]
"""A JSON object: what a measurement found, and how."""


@dataclass(frozen=True)
class Entry:
    """One row of a comparison.

    Args:
        target: what was measured.
        row: the values of the table, by the keys of its columns.
        result: everything that was measured, with its conditions.
        samples: the first of them, uint8 (S, C, H, W); None where none were drawn.
        pairs: pairs of images (K, 2, C, H, W) uint8 that a metric shows, by its name.
    """

    target: Target
    row: Result
    result: Result
    samples: np.ndarray | None = None
    pairs: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The run, and how it was sampled."""
        return self.row["run"] + (f", {self.how}" if self.how else "")

    @property
    def how(self) -> str:
        """The sampler, its steps and the guidance; '' where there is nothing to tell."""
        row = self.row
        parts = [f"{row['sampler']} {row['steps']} steps"] if row["sampler"] and row["steps"] else []
        parts += [f"guidance {row['guidance']:g}"] if row["guidance"] not in (None, 1.0) else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Figure:
    """A drawing with its title; svg: the drawing itself."""

    title: str
    svg: str


@dataclass(frozen=True)
class Card:
    """Images with a title and a caption. pixels: uint8 (N, C, H, W); columns: of the grid, None for a square."""

    title: str
    pixels: np.ndarray
    columns: int | None = None
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, an introduction, and a table or cards."""

    title: str
    text: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    cards: tuple[Card, ...] = ()


def pair_cards(entries: list[tuple[Entry, str]], name: str) -> tuple[Card, ...]:
    """The pairs that a metric shows of each entry, beside one another; with each entry its caption."""
    shown = [(entry, caption) for entry, caption in entries if name in entry.pairs]
    return tuple(
        Card(entry.title, entry.pairs[name].reshape(-1, *entry.pairs[name].shape[2:]), 12, caption)
        for entry, caption in shown
    )
