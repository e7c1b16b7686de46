"""The toy distributions of the figures, and how distributions in the plane are drawn."""

from __future__ import annotations

import math

import torch
from matplotlib.axes import Axes
from torch import Tensor

from unnoise.process.analytic import GaussianMixture

LINE = GaussianMixture(torch.tensor([0.35, 0.65]), torch.tensor([[-1.5], [1.0]]), torch.tensor([0.25, 0.25]))
REACH = 2.6
"""The plane is shown from -REACH to REACH."""


def ring(modes: int = 5, radius: float = 1.6, std: float = 0.16) -> GaussianMixture:
    """Equal Gaussians on a circle."""
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes) + math.pi / 2
    return GaussianMixture(torch.ones(modes), radius * torch.stack([angles.cos(), angles.sin()], 1), std)


def lattice(count: int, reach: float = REACH) -> Tensor:
    """The points (count^2, 2) of a square lattice, row by row from below."""
    axis = torch.linspace(-reach, reach, count, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def draw_density(axes: Axes, mixture: GaussianMixture, points: int = 120) -> None:
    """The density of a mixture in the plane, as a map of shades relative to its highest value."""
    density = mixture.log_prob(lattice(points)).exp().reshape(points, points)
    axes.imshow(
        (density / density.max()).sqrt().numpy(), origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap="Blues"
    )
    clear(axes)


def clear(axes: Axes) -> None:
    """The plane, square and without ticks."""
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
