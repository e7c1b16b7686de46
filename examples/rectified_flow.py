"""Rectified flow: walk from noise to data in a straight line, and then straighten the walk.

Join a picture and a noise by a line, x_t = (1 - t) x_0 + t eps (Liu et al. 2023, equation 1; here t = 0 is clean, as
in the rest of this folder), and regress on its velocity: v(x, t) = E[eps - x_0 | x_t = x]. The ODE dx/dt = v, walked
from t = 1 to 0, carries noise to data with the same marginals at every t (their theorem 3.3). The lines cross, the
ODE's paths may not, so they bend; straightness measures it (their equation 4):

    S = integral E|(x_1 - x_0) - v(x_t, t)|^2 dt    along the ODE's own paths; 0 means one Euler step is exact.

Training again on the pairs (x_0, eps) that the ODE itself joined ("reflow") makes the paths straighter and the pairs
no farther apart (theorems 3.5 and 3.7). The data are a mixture of Gaussians, whose v is known. At t = 1, x_t is all
noise, so v(x, 1) = x - E[x_0]: one Euler step of the first flow sends every noise to the mean picture, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import torch
from torch import Generator, Tensor, nn

MEANS = torch.tensor([[1.5, 0.5], [-1.5, 0.5], [0.0, -1.5]])
STD = 0.3
Velocity = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, 2), t (B, 1)) -> (B, 2)


def draw_data(n: int, generator: Generator) -> Tensor:
    which = torch.randint(len(MEANS), (n,), generator=generator)
    return MEANS[which] + STD * torch.randn(n, 2, generator=generator)


def exact_velocity(x_t: Tensor, t: Tensor) -> Tensor:
    """E[eps - x_0 | x_t]: for each Gaussian a linear regression, averaged with p(k | x_t)."""
    var = (1 - t) ** 2 * STD**2 + t**2
    residual = x_t[:, None] - (1 - t)[..., None] * MEANS
    responsibility = torch.softmax(-residual.square().sum(-1) / (2 * var), dim=1)
    each = (t - (1 - t) * STD**2)[..., None] / var[..., None] * residual - MEANS
    return (responsibility[..., None] * each).sum(1)


def mlp(sizes: tuple[int, ...], generator: Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def network(generator: Generator) -> tuple[nn.Module, Velocity]:
    net = mlp((3, 64, 64, 64, 2), generator)
    return net, lambda x_t, t: net(torch.cat((x_t, 2 * t - 1), dim=1))


def independent(generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """(x_0, eps) that know nothing of each other."""
    while True:
        yield draw_data(512, generator), torch.randn(512, 2, generator=generator)


def joined(velocity: Velocity, generator: Generator, n: int = 8192) -> Iterator[tuple[Tensor, Tensor]]:
    """(x_0, eps) where the ODE leads from eps to x_0: a pool, and random rows of it."""
    eps = torch.randn(n, 2, generator=generator)
    x_0 = euler(velocity, eps, 50)[-1]
    while True:
        rows = torch.randint(n, (512,), generator=generator)
        yield x_0[rows], eps[rows]


def loss(velocity: Velocity, x_0: Tensor, eps: Tensor, generator: Generator) -> Tensor:
    """E|(eps - x_0) - v(x_t, t)|^2 per dimension, t uniform."""
    t = torch.rand(len(x_0), 1, generator=generator)
    return ((eps - x_0) - velocity((1 - t) * x_0 + t * eps, t)).square().mean()


def train(pairs: Iterator[tuple[Tensor, Tensor]], updates: int, generator: Generator) -> Velocity:
    net, velocity = network(generator)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for x_0, eps in islice(pairs, updates):
        optimizer.zero_grad()
        loss(velocity, x_0, eps, generator).backward()
        optimizer.step()
        decay.step()
    return velocity


@torch.no_grad()
def euler(velocity: Velocity, x: Tensor, steps: int) -> list[Tensor]:
    """x_s = x_t + (s - t) v(x_t, t) from t = 1 to 0: the whole path, noise first."""
    path = [x]
    for i in range(steps, 0, -1):
        path.append(path[-1] - velocity(path[-1], torch.full((len(x), 1), i / steps)) / steps)
    return path


def straightness(path: list[Tensor]) -> float:
    """S, with each step's own displacement as the velocity."""
    chord, n = path[0] - path[-1], len(path) - 1
    return sum((chord - n * (a - b)).square().sum(1).mean().item() for a, b in pairwise(path)) / n


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|, 0 when and only when the distributions agree."""
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(y, y).sum() / (m * (m - 1))
    return (2 * torch.cdist(x, y).mean() - within).item()


def main(updates: int = 3000, n: int = 2000, seed: int = 0) -> dict[str, float]:
    """Train a flow and its reflow, and compare both with the exact velocity."""
    generator = torch.Generator().manual_seed(seed)
    first = train(independent(generator), updates, generator)
    second = train(joined(first, generator), updates, generator)
    x_0, eps = draw_data(n, generator), torch.randn(n, 2, generator=generator)
    facts = {"cost_independent": (x_0 - eps).square().sum(1).mean().item()}
    with torch.no_grad():
        for name, velocity in {"exact": exact_velocity, "first": first}.items():
            facts[f"{name}_loss"] = loss(
                velocity, x_0.repeat(10, 1), eps.repeat(10, 1), Generator().manual_seed(1)
            ).item()
    facts["one_step_to_mean"] = (euler(exact_velocity, eps, 1)[-1] - MEANS.mean(0)).abs().max().item()
    print(f"loss of the exact velocity {facts['exact_loss']:.4f}, of the network {facts['first_loss']:.4f}")
    print("flow     straightness   cost E|x_1 - x_0|^2   energy distance to the data in 1, 2, 50 Euler steps")
    for name, velocity in {"exact": exact_velocity, "first": first, "second": second}.items():
        path = euler(velocity, eps, 50)
        distances = {k: energy_distance(euler(velocity, eps, k)[-1], x_0) for k in (1, 2, 50)}
        facts |= {f"{name}_distance_{k}": distance for k, distance in distances.items()}
        facts |= {
            f"{name}_straightness": straightness(path),
            f"{name}_cost": (path[0] - path[-1]).square().sum(1).mean().item(),
        }
        print(
            f"{name:8s} {facts[f'{name}_straightness']:12.4f} {facts[f'{name}_cost']:21.4f}   "
            + "".join(f"{distance:9.4f}" for distance in distances.values())
        )
    print(f"independent pairs cost {facts['cost_independent']:.4f}")
    return facts


if __name__ == "__main__":
    main()
