"""Images that are moved, turned, stretched and mirrored at random, with what was done to each of them.

A network that is told what was done learns the distribution of the images as they are, once it is told that nothing was
(Karras et al. 2022, appendix F.2).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.host import sent

AUGMENT = "augment"
"""The condition that says what was done."""
WIDTH = 8
"""Numbers that say what was done: mirrored, log2 of the scale, cos - 1 and sin of the turn, log2 of the stretch times
cos and sin of twice the angle of its axis, and the shift in widths and heights. All are 0 where nothing was done."""
SCALE, STRETCH, SHIFT = 0.2, 0.2, 0.125
"""Standard deviations of log2 of the scale, of log2 of the stretch, and of the shift (Karras et al. 2022, table 6)."""


def drawn(draws: np.random.Generator, count: int, probability: float) -> np.ndarray:
    """(count, WIDTH) float32: what is done to each image, each kind of change with this probability."""
    happens = draws.random((count, 5)) < probability
    mirror = happens[:, 0] & (draws.random(count) < 0.5)
    scale, stretch = SCALE * draws.standard_normal(count), STRETCH * draws.standard_normal(count)
    turn, axis = draws.uniform(-math.pi, math.pi, (2, count))
    shift = SHIFT * draws.standard_normal((count, 2))
    turn = np.where(happens[:, 2], turn, 0)
    stretch = np.where(happens[:, 3], stretch, 0)
    columns = (
        mirror,
        np.where(happens[:, 1], scale, 0),
        np.cos(turn) - 1,
        np.sin(turn),
        stretch * np.cos(axis),
        stretch * np.sin(axis),
        *np.where(happens[:, 4:], shift, 0).T,
    )
    return np.stack(columns, axis=1).astype(np.float32)


def matrices(done: Tensor, height: int, width: int) -> Tensor:
    """(B, 2, 3) of `affine_grid`: where in an image of these sides a pixel of the changed one comes from.

    The image is mirrored, scaled, stretched along an axis, turned and shifted, in this order; this is the inverse.
    """
    mirror, scale, cos, sin, stretch_cos, stretch_sin, right, down = done.double().unbind(1)
    cos = cos + 1
    back = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)
    angle, length = torch.atan2(stretch_sin, stretch_cos) / 2, torch.hypot(stretch_cos, stretch_sin)
    c, s = angle.cos(), angle.sin()
    axes = torch.stack([c, -s, s, c], 1).view(-1, 2, 2)
    stretch = axes @ torch.diag_embed(torch.stack([torch.exp2(-length), torch.exp2(length)], 1)) @ axes.mT
    sides = torch.stack([1 - 2 * mirror, torch.ones_like(mirror)], 1) * torch.exp2(-scale)[:, None]
    aspect = torch.tensor([[1.0, height / width], [width / height, 1.0]], dtype=torch.float64)
    linear = (torch.diag_embed(sides) @ stretch @ back) * aspect  # in halves of the sides, as grids are
    shift = 2 * torch.stack([right, down], 1)
    return torch.cat([linear, -linear @ shift[:, :, None]], dim=2)


def augmented(images: Tensor, done: Tensor) -> Tensor:
    """Images (B, C, H, W) to which `done` (B, WIDTH), on the CPU, is done, bilinearly, with reflections beyond edges.
    What is only mirrored left to right, or left as it is, keeps its values to the bit."""
    theta = matrices(done, *images.shape[-2:])
    grid = F.affine_grid(sent(theta, images.device, images.dtype), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    exact = torch.where(_rows(done[:, 0] > 0, images), images.flip(3), images)
    return torch.where(_rows((done[:, 1:] != 0).any(1), images), moved, exact)


def _rows(which: Tensor, images: Tensor) -> Tensor:
    return sent(which, images.device).view(-1, *[1] * (images.ndim - 1))
