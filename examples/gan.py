"""Generative adversarial networks: a forger and a judge.

The discriminator D raises V = E_data[log D(x)] + E_G[log(1 - D(x))], the generator lowers it (Goodfellow et al. 2014,
equation 1). For a fixed generator the best judge is D* = p_data / (p_data + p_G) (proposition 1), and then

    V(D*) = 2 JS(p_data, p_G) - 2 log 2        (theorem 1): the game measures a distance.

Lowering log(1 - D) ("minimax") stalls when the judge is sure, D(G(z)) ~ 0: its slope in the judge's logit is -D.
Raising log D instead ("non-saturating", section 3) has the same fixed point and the slope 1 - D. This script

1. trains a free judge on a grid of the line and compares it with D* and V with the theorem;
2. computes both slopes for N(0, 1) against a generator N(theta, 1) and the best judge;
3. plays the game on a ring of eight Gaussians with both losses, the judge held smooth by the penalty
   gamma / 2 E_data |grad D|^2 on its logit (R1: Mescheder et al. 2018, equation 9), and counts the modes found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import logsigmoid, softplus

ANGLES = torch.arange(8) * math.pi / 4
MEANS = 2 * torch.stack((ANGLES.cos(), ANGLES.sin()), dim=1)
STD = 0.1


def minimax(logit: Tensor) -> Tensor:
    """E[log(1 - D)], which the generator lowers; D = sigmoid(logit)."""
    return -softplus(logit).mean()


def non_saturating(logit: Tensor) -> Tensor:
    """-E[log D]."""
    return -logsigmoid(logit).mean()


def normal(x: Tensor, mean: float) -> Tensor:
    return torch.exp(-0.5 * (x - mean).square()) / math.sqrt(2 * math.pi)


def grid_game(steps: int = 3000) -> dict[str, float]:
    """A judge with one free logit per grid point, raised along the gradient of V, against D* and 2 JS - 2 log 2."""
    x = torch.linspace(-8, 8, 401, dtype=torch.float64)
    dx = (x[1] - x[0]).item()
    p, q = 0.5 * normal(x, -2.0) + 0.5 * normal(x, 2.0), normal(x, 0.5)
    logit = torch.zeros_like(x, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr=0.05)
    for _ in range(steps):
        value = ((p * logsigmoid(logit) - q * softplus(logit)) * dx).sum()
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
    m = (p + q) / 2
    js = 0.5 * ((p * (p / m).log() + q * (q / m).log()) * dx).sum()
    judge_error = (m * (logit.sigmoid() - p / (p + q)).abs() * dx).sum()
    return {
        "grid_value": ((p * logsigmoid(logit) - q * softplus(logit)) * dx).sum().item(),
        "js_value": (2 * js - 2 * math.log(2)).item(),
        "judge_error": judge_error.item(),
    }


def slopes(theta: float = 6.0) -> dict[str, float]:
    """d/dtheta of both losses when the generator is theta + z, the data N(0, 1), and the judge the best one, whose
    logit is log p - log p_G = theta^2 / 2 - theta x. Closed forms: theta E_G[D] and theta E_G[1 - D] in size."""
    levels = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    place = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    logit = theta**2 / 2 - theta * (place + torch.special.ndtri(levels))
    facts = {"closed_minimax_slope": theta * logit.sigmoid().mean().item()}
    for loss in (minimax, non_saturating):
        slope = torch.autograd.grad(loss(logit), place, retain_graph=True)[0]
        facts[f"{loss.__name__}_slope"] = slope.item()
    return facts


def draw_ring(n: int, generator: Generator) -> Tensor:
    which = torch.randint(len(MEANS), (n,), generator=generator)
    return MEANS[which] + STD * torch.randn(n, 2, generator=generator)


def count_modes(x: Tensor) -> tuple[int, float]:
    """Modes that hold at least a quarter of their due within 4 standard deviations, and the share of such points."""
    distance, nearest = torch.cdist(x, MEANS).min(dim=1)
    close = distance < 4 * STD
    share = nearest[close].bincount(minlength=len(MEANS)) / len(x)
    return int((share > 0.25 / len(MEANS)).sum()), close.float().mean().item()


def mlp(sizes: tuple[int, ...], generator: Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def play(loss: Callable[[Tensor], Tensor], steps: int, seed: int, gamma: float = 0.1) -> Tensor:
    """Algorithm 1 with one judge's step per forger's step, on the ring; 2000 points of the trained generator."""
    random = Generator().manual_seed(seed)
    generator, judge = mlp((2, 64, 64, 2), random), mlp((2, 64, 64, 1), random)
    forging = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    judging = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.0, 0.99))
    for _ in range(steps):
        real, fake = draw_ring(256, random).requires_grad_(), generator(torch.randn(256, 2, generator=random))
        real_logit = judge(real)
        gradient = torch.autograd.grad(real_logit.sum(), real, create_graph=True)[0]
        penalty = gamma / 2 * gradient.square().sum(1).mean()
        judging.zero_grad()
        (softplus(-real_logit).mean() + softplus(judge(fake.detach())).mean() + penalty).backward()
        judging.step()
        forging.zero_grad()
        loss(judge(fake)).backward()
        forging.step()
    with torch.no_grad():
        return generator(torch.randn(2000, 2, generator=random))


def main(steps: int = 2500, seed: int = 0) -> dict[str, float]:
    """The theorem on a grid, the slopes in closed form, the game on the ring."""
    facts = grid_game() | slopes()
    print(f"best judge on a grid: V = {facts['grid_value']:.6f}, 2 JS - 2 log 2 = {facts['js_value']:.6f}")
    print(
        f"slope for a generator six standard deviations off: minimax {facts['minimax_slope']:.1e} "
        f"(closed form {facts['closed_minimax_slope']:.1e}), non-saturating {facts['non_saturating_slope']:.3f}"
    )
    for loss in (minimax, non_saturating):
        modes, close = count_modes(play(loss, steps, seed))
        facts |= {f"{loss.__name__}_modes": modes, f"{loss.__name__}_close": close}
        print(f"ring of eight, {loss.__name__}: {modes} modes, {close:.0%} of the points near one")
    return facts


if __name__ == "__main__":
    main()
