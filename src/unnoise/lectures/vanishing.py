"""The better the discriminator, the less the generator learns, if it plays minimax."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unnoise.lectures.mixtures import ring
from unnoise.lectures.plane import Game, Setting
from unnoise.lectures.slide import Drawn, slide
from unnoise.seeding import StepNoise

STEPS = 400
EVERY = 10
GAMES = ("minimax", "non-saturating")
AVERAGED = 8
"""Batches."""


def vanishing(*, seed: int = 0, steps: int = STEPS) -> Drawn:
    """The norm of the generator's gradient while the discriminator alone is trained, in both games, against the
    discriminator's accuracy (Arjovsky & Bottou 2017, figures 2 and 3).

    Args:
        seed: of weights, data and noise.
        steps: of the discriminator.
    """
    game = Game(ring(8, radius=2.0, std=0.1), Setting(), seed)
    at, accuracy, doubt = [], [], []
    norms: dict[str, list[float]] = {name: [] for name in GAMES}
    for step in range(0, steps + 1, EVERY):
        at.append(step)
        caught, unsure = discriminator_accuracy(game)
        accuracy.append(caught)
        doubt.append(unsure)
        for name in GAMES:
            norms[name].append(gradient_norm(game, name))
        game.sharpen(EVERY)
    figure = slide("A discriminator that has won teaches a minimax generator nothing")
    left, right = figure.subplots(1, 2)
    for name in GAMES:
        left.semilogy(at, norms[name], label=name)
        right.loglog(doubt, norms[name], "o", markersize=5, label=name)
    left.set(xlabel="steps of the discriminator alone", ylabel="norm of the generator's gradient")
    right.set(xlabel="mean probability of a wrong answer of the discriminator")
    right.invert_xaxis()
    left.legend()
    last = {name: norms[name][-1] / norms[name][0] for name in GAMES}
    numbers = {"accuracy": [round(accuracy[0], 3), round(accuracy[-1], 3)], "last_norm_over_first": last}
    return Drawn(figure, numbers)


@torch.no_grad()
def discriminator_accuracy(game: Game) -> tuple[float, float]:
    """The fraction of data and samples that the discriminator tells for what they are, and the mean probability that it
    gives to the other answer."""
    right, doubt = [], []
    for index in range(AVERAGED):
        real, fake = game.batch(StepNoise(game.seed, -2, index))
        logits = torch.cat([game.critic(real), -game.critic(fake)]).double()
        right.append((logits > 0).double().mean())
        doubt.append(torch.sigmoid(-logits).mean())
    return float(torch.stack(right).mean()), float(torch.stack(doubt).mean())


def gradient_norm(game: Game, name: str) -> float:
    """Of the generator's loss in the game of this name."""
    losses = [game.generator_loss(StepNoise(game.seed, -3, index), name) for index in range(AVERAGED)]
    return _norm(torch.stack(losses).mean(), game.generator)


def _norm(loss: Tensor, module: nn.Module) -> float:
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
