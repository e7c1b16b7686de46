"""Whether mirror images are as probable under a set of images as the images themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor
from torch.nn import functional as F

from unnoise.data.buckets import AnyImages
from unnoise.data.near_duplicates import all_small, grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 2000
"""Images that are compared."""
ALLOWED = 0.6
"""Chance that an image is nearer to another than to the mirror image of any, up to which mirror images are taken to be
as probable; it is 0.5 where they are."""
CONFIDENCE = 0.975
SIDED = re.compile(r"\b(left|right|clockwise|text|word|letter|digit|number)\b", re.IGNORECASE)
"""Words of captions and classes that mirroring makes untrue."""


class Mirror(NamedTuple):
    """allowed: whether mirror images may be shown. reason: for people, the end of 'mirror images are shown: ...'."""

    allowed: bool
    reason: str


def mirror_images(images: AnyImages) -> Mirror:
    """Whether images can be mirrored left to right without showing what the set does not hold.

    Of each image the nearest other image is compared with the nearest mirror image of another one, by pixels and by
    edges, within its class and without its near-duplicates. Where p(x) = p(mirrored x), either is the nearer one with
    probability 1/2 (a nearest-neighbour two-sample test: Henze 1988). Images pair up, so half of them count as trials,
    and the upper end of the binomial interval has to lie below ALLOWED: what is too little to tell is not mirrored.
    """
    if word := _sided([*images.classes, *(images.captions or [])]):
        return Mirror(False, f"captions or classes say {word!r}, which would be untrue")
    if "vectors" in images.fields:
        return Mirror(False, "what a vector says may be untrue of them")
    rows = np.sort(np.random.default_rng(0).permutation(len(images))[:MOST])
    chosen = images.subset(rows)
    apart = _comparable(chosen)
    pictures = all_small(chosen)
    chances = [_nearer(features, mirrored, apart) for features, mirrored in _spaces(pictures)]
    chance, trials = max(chances)
    share = f"{chance:.0%} of the images are nearer to another image than to the mirror image of any"
    if upper_bound(chance, trials) < ALLOWED:
        return Mirror(True, f"{share}, as are half of them where left and right are alike")
    doubt = "" if chance >= ALLOWED else ", too few images to tell that left and right are alike"
    return Mirror(False, f"{share}{doubt}")


def upper_bound(chance: float, trials: int) -> float:
    """The upper end of the exact binomial interval (Clopper & Pearson 1934)."""
    successes = chance * trials
    return 1.0 if successes >= trials else float(beta.ppf(CONFIDENCE, successes + 1, trials - successes))


def _sided(texts: Sequence[str]) -> str | None:
    found = (SIDED.search(text) for text in texts)
    return next((match[0] for match in found if match), None)


def _comparable(images: AnyImages) -> Tensor:
    """(N, N) bool: pairs of one class and of different groups."""
    number = torch.from_numpy(grouped(images).number)
    apart = number[:, None] != number[None]
    if images.labels is not None:
        labels = torch.from_numpy(np.array(images.labels))
        apart &= labels[:, None] == labels[None]
    return apart


def _spaces(images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Features (N, D) of the images and of their mirror images: pixels, and edges, which know no colours."""
    yield images.flatten(1), images.flip(3).flatten(1)
    edges = _edges(images)
    yield edges.flatten(1), edges.flip(2).flatten(1)


def _edges(images: Tensor) -> Tensor:
    """(N, H, W): how strong the edges are, of norm 1 over each image."""
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across, down = grey[:, 0, 1:-1, 2:] - grey[:, 0, 1:-1, :-2], grey[:, 0, 2:, 1:-1] - grey[:, 0, :-2, 1:-1]
    strength = F.avg_pool2d((across**2 + down**2).sqrt(), 3, 1, 1)
    return strength / strength.flatten(1).norm(dim=1).clamp(min=1e-6)[:, None, None]


def _nearer(features: Tensor, mirrored: Tensor, apart: Tensor) -> tuple[float, int]:
    """How often an image is nearer to another image than to a mirror image, and of how many trials."""
    told = apart.any(1)
    to_images, to_mirrored = (
        torch.cdist(features, others).masked_fill(~apart, torch.inf).min(1).values[told]
        for others in (features, mirrored)
    )
    wins = (to_images < to_mirrored).double() + 0.5 * (to_images == to_mirrored).double()
    return (float(wins.mean()), len(wins) // 2) if len(wins) > 1 else (1.0, 1)
