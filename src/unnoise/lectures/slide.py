"""The look of the course's figures: 1600 x 900 pixels, letters that are read from the last row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from unnoise.aliases import Record
from unnoise.data import save_gif, save_png
from unnoise.errors import UserError
from unnoise.io.picture_reader import GRID

SIZE = (32 / 3, 6.0)
DPI = 150
GIF_DPI = 90
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#555555")
"""Told apart by colour-blind readers too (Okabe & Ito 2008), and two more."""
STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "axes.prop_cycle": cycler(color=COLOURS),
    "savefig.facecolor": "white",
}


class Drawn(NamedTuple):
    """A figure, the numbers in it, and, where time moves, its frames in order."""

    figure: Figure
    numbers: Record
    frames: Callable[[], Iterator[Figure]] | None = None

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        stream = io.BytesIO()
        render(self.figure, GIF_DPI).save(stream, format="PNG")
        return stream.getvalue()


def style() -> AbstractContextManager[None]:
    """While it lasts, figures have the look of the course."""
    return matplotlib.rc_context(STYLE)  # type: ignore[arg-type]


def slide(title: str) -> Figure:
    """An empty figure of a slide's size."""
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(title, fontsize=17)
    return figure


def picture_axes(axes: Axes, image: np.ndarray, title: str = "", **options: Any) -> None:
    """An image (C, H, W) uint8 in its own axes, without ticks."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, **options)


def render(figure: Figure, dpi: int = DPI) -> Image.Image:
    """The figure as a picture."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def save(drawn: Drawn, out: Path) -> list[Path]:
    """Writes the figure as a .png, and what moves as a .gif of the same name; the files written.

    Raises:
        UserError: for a .gif of a figure in which nothing moves.
    """
    moving = out.with_suffix(".gif")
    if drawn.frames is None and out == moving:
        raise UserError(f"cannot write {out}: nothing moves in this figure; give a .png")
    files = [] if out == moving else [out]
    for file in files:
        picture = render(drawn.figure)
        picture.info[GRID] = "1"
        save_png(picture, file)
    if drawn.frames is not None:
        save_gif([render(frame, GIF_DPI) for frame in drawn.frames()], moving)
        files.append(moving)
    return files
