"""Images that are held out before the training: groups of near-duplicates stay on one side."""

from __future__ import annotations

import numpy as np

from unnoise.data.buckets import AnyImages
from unnoise.data.near_duplicates import GROUP, MOST, Groups, grouped
from unnoise.runs.held_out import HeldOut
from unnoise.seeding import fold

AUTO = "auto"
USUAL = 0.1
"""The fraction that is held out of a small set."""
SMALLEST, SMALL = 60, 5000
"""Images of a set of which a part is held out unasked: of fewer none can be spared."""
FEWEST, LARGEST_PART = 10, 1000
"""Images that are held out."""
PURPOSE = 0x686F6C64


def holds_out_unasked(images: AnyImages) -> bool:
    """Whether a set has the size of those of which a part is held out where they have no test split."""
    return SMALLEST <= len(images) <= SMALL


def hold_out(images: AnyImages, fraction: float, seed: int) -> HeldOut | None:
    """About `fraction` of the images, FEWEST to LARGEST_PART, in whole groups; None where the groups are too large, or
    the images too few, for that.

    A function of the images and the seed.
    """
    groups = grouped(images)
    count = min(LARGEST_PART, max(FEWEST, round(fraction * len(images))))
    rows = _chosen(groups, count, fold(int(images.fingerprint[:15], 16), seed, PURPOSE))
    if len(rows) < FEWEST or len(rows) > len(images) // 2:
        return None
    return HeldOut(rows, images.fingerprint, _note(images, groups, rows))


def _chosen(groups: Groups, count: int, key: int) -> np.ndarray:
    """The rows, rising, of groups in random order, of each that leaves at most `count` rows."""
    chosen: list[int] = []
    left = count
    for group in np.random.default_rng(key).permutation(len(groups.sizes)):
        if groups.sizes[group] <= left:
            chosen.append(group)
            left -= groups.sizes[group]
    return np.flatnonzero(np.isin(groups.number, chosen))


def _note(images: AnyImages, groups: Groups, rows: np.ndarray) -> str:
    named = ", and images of one group in the metadata," if GROUP in images.fields else ""
    kind = "near-duplicates" if groups.compared else f"equal images (near-duplicates are sought among {MOST:,} at most)"
    return (
        f"{len(rows):,} of the {len(images):,} images are held out, to tell learning from copying (data.hold_out); "
        f"{kind}{named} stay on one side: {groups.shared:,} groups of two and more"
    )
