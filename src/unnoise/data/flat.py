"""Whether pictures are drawn, with areas of one colour, or photographed."""

from __future__ import annotations

from torch import Tensor

from unnoise.data.buckets import AnyImages, parts_of, some_rows

MOST = 200
"""Images that are looked at."""
SAME = 1.5 / 127.5
"""Two values in [-1, 1] that differ by less are the same: by one level of 256, which rounding makes of equal ones."""
DRAWN = 0.25
"""Share of neighbours of one colour from which pictures count as drawn. CIFAR-10 has 0.10, emoji 0.43, glyphs 0.85."""


def flat_share(images: AnyImages) -> float:
    """The share of pixels that have the colour of their right neighbour, the mean over some images, always the same."""
    shares = [_share(part.batch([row]).image) for part, own in parts_of(images, some_rows(images, MOST)) for row in own]
    return sum(shares) / len(shares)


def _share(image: Tensor) -> float:
    """Of one image (1, C, H, W)."""
    return float(((image[..., 1:] - image[..., :-1]).abs().amax(1) < SAME).float().mean())


def are_drawn(images: AnyImages) -> bool:
    """Whether pictures are drawn: icons, emoji, characters, plots."""
    return flat_share(images) >= DRAWN
