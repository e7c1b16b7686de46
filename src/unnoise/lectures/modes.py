"""25 Gaussians: which of them each family finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from unnoise.aliases import Record
from unnoise.lectures.mixtures import clear
from unnoise.lectures.plane import Draw, Setting, train_diffusion, train_gan, train_vae
from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.metrics.modes import Modes, mode_coverage
from unnoise.process.analytic import GaussianMixture

STEPS = 4000
SAMPLES = 2500
NEAR = 4.0
"""In standard deviations: what lies further from every mode belongs to none."""
FOUND = 0.1
"""A mode is found when it has at least this part of the samples that it should have."""


def modes(*, seed: int = 0, steps: int = STEPS) -> Drawn:
    """Samples of a GAN, a VAE and a diffusion model trained on 25 Gaussians on a lattice.

    With them stand the modes found and the KL of their fractions from the data's (Metz et al. 2017; Lin et al. 2018).

    Args:
        seed: of weights, data and noise.
        steps: training steps of each, with 128 points a step.
    """
    data = grid_of_gaussians()
    families: dict[str, Callable[[], Draw]] = {
        "GAN": lambda: train_gan(data, steps, seed, Setting(penalty="r1", penalty_weight=0.1)),
        "VAE": lambda: train_vae(data, steps, seed),
        "diffusion": lambda: train_diffusion(data, steps, seed),
    }
    figure = slide("25 modes: who finds them?")
    numbers = {}
    panels = figure.subplots(1, len(families) + 1)
    scatter(panels[0], data.sample(SAMPLES, seed=seed), data, "data")
    for axes, (name, train) in zip(panels[1:], families.items(), strict=True):
        x = train()(SAMPLES)
        numbers[name] = counted(x, data)
        scatter(axes, x, data, f"{name}: {_caption(numbers[name])}")
    return Drawn(figure, {"steps": steps, "families": numbers})


def _caption(numbers: Record) -> str:
    kl = "no KL" if numbers["kl"] is None else f"KL {numbers['kl']:.2f}"
    return f"{numbers['found']} of {numbers['modes']} modes\n{kl}, {numbers['near']:.0%} near a mode"


def grid_of_gaussians(side: int = 5, std: float = 0.05) -> GaussianMixture:
    """side^2 equal Gaussians on a square lattice in [-2, 2]^2."""
    axis = torch.linspace(-2, 2, side, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return GaussianMixture(torch.ones(side**2), torch.stack([x.flatten(), y.flatten()], 1), std)


def counted(x: Tensor, data: GaussianMixture) -> Record:
    """What samples (N, 2) have of a mixture's modes.

    Returns:
        found: modes with at least a tenth of the samples that they should have; modes: how many there are; near: the
        fraction of samples within four standard deviations of a mode; kl: of the fractions of those from the data's, in
        nats, None where there are none.
    """
    distance, nearest = torch.cdist(x.double(), data.means).min(1)
    near = distance < NEAR * data.stds[nearest]
    count = len(data.means)
    if not near.any():
        return {"found": 0, "modes": count, "kl": None, "near": 0.0}
    found: Modes = mode_coverage(nearest[near], torch.arange(count), classes=count)
    visited = torch.bincount(nearest[near], minlength=count) >= FOUND * len(x) * data.weights
    fraction = float(near.double().mean())
    return {"found": int(visited.sum()), "modes": count, "kl": round(found.kl, 4), "near": round(fraction, 4)}


def scatter(axes: Axes, x: Tensor, data: GaussianMixture, title: str) -> None:
    """Samples in the plane, and the modes as rings around them."""
    axes.plot(*data.means.T.numpy(), "o", markersize=12, markerfacecolor="none", color=COLOURS[7], alpha=0.35)
    axes.plot(*x.T.numpy(), ".", color=COLOURS[0], markersize=2.5, alpha=0.5)
    clear(axes)
    axes.set_title(title, fontsize=12)
