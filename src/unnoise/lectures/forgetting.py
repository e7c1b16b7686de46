"""Today's discriminator on yesterday's samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from unnoise.lectures.collapse import FAST
from unnoise.lectures.mixtures import ring
from unnoise.lectures.modes import scatter
from unnoise.lectures.plane import Game
from unnoise.lectures.slide import Drawn, slide

STEPS = 2400
GENERATIONS = 12
SAMPLES = 500
SHOWN = 4

Discriminator = Callable[[Tensor], Tensor]
"""Samples (N, *) -> logits (N,)."""


def forgetting(*, seed: int = 0, steps: int = STEPS) -> Drawn:
    """The fraction of each earlier generation's samples that each discriminator still tells from data: a discriminator
    remembers what it caught only as long as it is shown it.

    Args:
        seed: of weights, data and noise.
        steps: of the training, of which the states at twelve times are kept.
    """
    data = ring(8, radius=2.0, std=0.1)
    game = Game(data, FAST, seed)
    critics, drawn = [], []
    for _ in range(GENERATIONS):
        game.play(max(1, steps // GENERATIONS))
        critics.append(deepcopy(game.critic))
        drawn.append(game.draw(SAMPLES))
    caught = forgetting_matrix(critics, drawn)
    figure = slide("What a discriminator forgets")
    left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1), squeeze=False).flat
    axes = left.subplots()
    picture = axes.imshow(caught.numpy(), vmin=0, vmax=1, cmap="viridis", origin="lower")
    axes.set(xlabel="samples of generation", ylabel="discriminator of generation", title="fraction of samples caught")
    axes.grid(False)
    left.colorbar(picture, shrink=0.8)
    for shown, panel in zip(range(0, GENERATIONS, GENERATIONS // SHOWN), right.subplots(2, 2).flat, strict=True):
        scatter(panel, drawn[shown], data, f"generation {shown}")
    earlier = torch.tril(torch.ones_like(caught), -1).bool()
    numbers = {"own": float(caught.diagonal().mean()), "earlier": float(caught[earlier].mean())}
    return Drawn(figure, {"caught": {name: round(value, 3) for name, value in numbers.items()}})


@torch.no_grad()
def forgetting_matrix(discriminators: Sequence[Discriminator], samples: Sequence[Tensor]) -> Tensor:
    """(discriminators, generations) float64: the fraction of each generation's samples that gets a logit below 0."""
    rows = [[(discriminator(drawn) < 0).double().mean() for drawn in samples] for discriminator in discriminators]
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
