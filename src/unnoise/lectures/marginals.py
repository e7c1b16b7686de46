"""Distributions of x_t between data and noise, and their scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unnoise.errors import UserError
from unnoise.lectures.mixtures import LINE, REACH, clear, draw_density, lattice, ring
from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import SCHEDULES, Schedule
from unnoise.registry import lookup
from unnoise.samplers import DDIM

TIMES = (0.05, 0.3, 0.6, 0.95)
"""Of t_max: where the plane is shown."""
ARROWS = 15
FRAMES = 40
PATHS = 12


def marginals(*, schedule: str = "cosine", seed: int = 0) -> Drawn:
    """q(x_t) of a mixture on the line, with paths of the probability-flow ODE through it, and of one in the plane at
    four times with the score field grad log q(x_t). All in closed form.

    Args:
        schedule: a name in SCHEDULES, of those that keep the variance.
        seed: of the paths' starts.

    Raises:
        UserError: for an unknown schedule, and for one whose variance explodes: it would leave the picture.
    """
    chosen = lookup(SCHEDULES, schedule, "schedule")()
    if chosen.prior_std != 1:
        raise UserError(
            f"the variance of {schedule!r} explodes, and its x_t leave the picture; take a schedule such as 'cosine'"
        )
    figure = slide(rf"From data to noise: $q(x_t)$ and its score $\nabla \log q(x_t)$  ({schedule})")
    top, low = figure.subfigures(2, 1, height_ratios=(1, 1), squeeze=False).flat
    _line(top.subplots(), chosen, seed)
    mixture = ring()
    for axes, fraction in zip(low.subplots(1, len(TIMES)), TIMES, strict=True):
        _plane(axes, mixture, chosen, fraction)

    def frames() -> Iterator[Figure]:
        for fraction in np.linspace(0.02, 1, FRAMES):
            moving = slide(rf"$q(x_t)$ and its score $\nabla \log q(x_t)$  ({schedule})")
            _plane(moving.subplots(), mixture, chosen, float(fraction))
            yield moving

    final = mixture.at(chosen, chosen.t_max)
    return Drawn(figure, {"schedule": schedule, "std_at_t_max": round(float(final.stds[0]), 6)}, frames)


def _line(axes: Axes, schedule: Schedule, seed: int) -> None:
    fractions, x = np.linspace(0.001, 1, 160), torch.linspace(-3.5, 3.5, 200, dtype=torch.float64)
    columns = [LINE.at(schedule, f * schedule.t_max).log_prob(x[:, None]).exp() for f in fractions]
    density = torch.stack([column / column.max() for column in columns], 1)
    axes.imshow(density.numpy(), origin="lower", extent=(0, 1, -3.5, 3.5), aspect="auto", cmap="Blues")
    x_T = torch.randn(PATHS, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points = list(DDIM(steps=100).stream(LINE.denoiser(schedule), x_T))
    t = [1.0, *(point.t / schedule.t_max for point in points)]
    paths = torch.cat([x_T, *(point.x for point in points)], 1)
    axes.plot(t, paths.T.numpy(), color=COLOURS[1], linewidth=1.0, alpha=0.8)
    axes.set(xlabel=r"$t / t_{max}$: data on the left, noise on the right", ylabel="x")
    axes.grid(False)


def _plane(axes: Axes, mixture: GaussianMixture, schedule: Schedule, fraction: float) -> None:
    t = fraction * schedule.t_max
    draw_density(axes, mixture.at(schedule, t))
    at = lattice(ARROWS, 0.95 * REACH)
    score = mixture.denoiser(schedule)(at, torch.tensor(t, dtype=torch.float64)).score
    size = score.norm(dim=1, keepdim=True)
    # Near data the score is hundreds of times as long far away as it is near: arrows show its logarithm.
    arrows = (score / size * torch.log1p(size)).numpy()
    axes.quiver(*at.T.numpy(), *arrows.T, color=COLOURS[1], angles="xy", width=0.004)
    clear(axes)
    axes.set_title(rf"$t = {fraction:.2f}\, t_{{max}}$", fontsize=13)
