"""The position of a picture in a larger canvas."""

from __future__ import annotations

from collections.abc import Sequence

from unnoise.errors import UserError
from unnoise.registry import lookup

ANCHORS: dict[str, tuple[float, float]] = {
    "centre": (0.5, 0.5),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
}
"""The fractions of the free columns that lie to the left, and of the free rows above."""


def margins(
    size: Sequence[int], canvas: Sequence[int], at: str | None, anchor: str | None, name: str
) -> tuple[int, int, int, int]:
    """The free pixels (left, right, top, bottom) around a picture of size (h, w) in a canvas (H, W).

    at: 'X,Y' of its left top corner; anchor: a name in ANCHORS, by default centre; name: of the picture, for errors.
    Raises UserError for a picture that does not fit or leaves nothing free, and for a position that is none.
    """
    (height, width), (rows, columns) = size, canvas
    picture, room = f"{name} is {width}x{height} pixels", f"the {columns}x{rows} that the run makes"
    if height > rows or width > columns:
        raise UserError(f"{picture}, larger than {room}; resize it")
    if (height, width) == (rows, columns):
        raise UserError(f"{picture} and fills {room}: there is nothing around it to draw; shrink it, or use inpaint")
    left, top = _corner(columns - width, rows - height, at, anchor)
    if not (0 <= left <= columns - width and 0 <= top <= rows - height):
        raise UserError(f"{picture}, and at {at} it leaves {room}; X goes to {columns - width}, Y to {rows - height}")
    return left, columns - width - left, top, rows - height - top


def _corner(columns: int, rows: int, at: str | None, anchor: str | None) -> tuple[int, int]:
    """(x, y), given how many columns and rows are free."""
    if at is None:
        across, down = lookup(ANCHORS, anchor or "centre", "anchor")
        return int(across * columns), int(down * rows)
    if anchor is not None:
        raise UserError("give --at or --anchor, not both")
    x, _, y = at.partition(",")
    try:
        return int(x), int(y)
    except ValueError:
        raise UserError(f"--at takes the left top corner as X,Y in pixels, such as 8,16; got {at!r}") from None
