"""Score matching: learn the gradient of the log-density at many noise levels, and follow it.

Noise the data, x_t = x_0 + sigma eps. The score of one noised point is grad log q(x_t | x_0) = -eps / sigma, and the
score of their mixture is its average, grad log p_sigma(x_t) = E[-eps / sigma | x_t]. A network that regresses on
-eps / sigma therefore finds the score (Vincent 2011, equation 11; weighted with sigma^2 over many levels, Song and
Ermon 2019, equations 5 and 6). Three uses, each set beside the truth, which a mixture of two Gaussians gives away:

1. Langevin dynamics draws samples, but mixes two distant modes in the wrong proportion; annealing the noise level
   repairs it (Song and Ermon 2019, section 3.2 and algorithm 1).
2. The probability-flow ODE dx/dsigma = -sigma score(x, sigma) does the same without noise (Song et al. 2021b, eq. 13).
3. The ODE also measures: log p changes along it by minus the divergence of its field (their equation 39).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

WEIGHTS = torch.tensor([0.8, 0.2])
MEANS = torch.tensor([[4.0, 4.0], [-4.0, -4.0]])
STD = 1.0
SIGMAS = 50 * (0.01 / 50) ** torch.linspace(0, 1, 71)  # 50 down to 0.01
Score = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, 2), sigma () or (B,)) -> (B, 2)


def draw_data(n: int, generator: Generator) -> Tensor:
    which = torch.multinomial(WEIGHTS, n, replacement=True, generator=generator)
    return MEANS[which] + STD * torch.randn(n, 2, generator=generator)


def log_prob(x: Tensor, sigma: Tensor) -> Tensor:
    """log p_sigma(x): every component is widened by the noise."""
    var = STD**2 + sigma.expand(len(x))[:, None] ** 2
    square = (x[:, None] - MEANS).square().sum(-1)
    return torch.logsumexp(WEIGHTS.log() - square / (2 * var) - (2 * math.pi * var).log(), dim=1)


def exact_score(x: Tensor, sigma: Tensor) -> Tensor:
    """grad log p_sigma(x) in closed form."""
    var = STD**2 + sigma.expand(len(x))[:, None] ** 2
    residual = MEANS - x[:, None]
    responsibility = torch.softmax(WEIGHTS.log() - residual.square().sum(-1) / (2 * var), dim=1)
    return (responsibility[..., None] * residual).sum(1) / var


def averaged_target(x_t: Tensor, sigma: float, x_0: Tensor) -> Tensor:
    """E[-eps / sigma | x_t], eps = (x_t - x_0) / sigma, over draws x_0 of the data weighted with q(x_t | x_0)."""
    weight = torch.softmax(-torch.cdist(x_t, x_0).square() / (2 * sigma**2), dim=1)
    return -(x_t - weight @ x_0) / sigma**2


class ScoreNetwork(nn.Module):
    """score(x, sigma) = F(x, log sigma) / std - x / std^2, std^2 = 30 + sigma^2: right by itself for large sigma."""

    def __init__(self, generator: Generator, width: int = 64) -> None:
        super().__init__()
        hidden = (nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.net = nn.Sequential(nn.Linear(3, width), nn.SiLU(), *hidden, nn.Linear(width, 2))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma.expand(len(x))[:, None]
        var = 30 + sigma**2  # about the variance of x_t
        raw = self.net(torch.cat((2 * x / var.sqrt(), sigma.log() / 2), dim=1))
        return raw / var.sqrt() - x / var


def train(network: nn.Module, updates: int, generator: Generator) -> None:
    """Minimise E |sigma score(x_0 + sigma eps, sigma) + eps|^2, levels drawn log-uniformly."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        sigma = SIGMAS[torch.randint(len(SIGMAS), (512,), generator=generator)]
        x_0, eps = draw_data(512, generator), torch.randn(512, 2, generator=generator)
        loss = (sigma[:, None] * network(x_0 + sigma[:, None] * eps, sigma) + eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()


def langevin(score: Score, x: Tensor, sigmas: Tensor, each: int, generator: Generator) -> Tensor:
    """x <- x + a/2 score(x, sigma) + sqrt(a) z, `each` times per level, a in proportion to the level's variance."""
    for sigma in sigmas:
        a = 0.2 * (STD**2 + sigma**2)
        for _ in range(each):
            x = x + a / 2 * score(x, sigma) + a.sqrt() * torch.randn(x.shape, generator=generator)
    return x


def flow(score: Score, x: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Heun's method for the ODE in u = log sigma, dx/du = -sigma^2 score; and the integral of its divergence."""
    total = torch.zeros(len(x))
    for now, then in pairwise(sigmas):
        h = (then / now).log()
        slope, divergence = field(score, x, now)
        next_slope, next_divergence = field(score, x + h * slope, then)
        x, total = x + h / 2 * (slope + next_slope), total + h / 2 * (divergence + next_divergence)
    return x, total


def field(score: Score, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """-sigma^2 score(x, sigma) and its divergence, the trace of the Jacobian, one derivative per dimension."""
    x = x.detach().requires_grad_()
    slope = -(sigma**2) * score(x, sigma)
    rows = [torch.autograd.grad(slope[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2)]
    return slope.detach(), rows[0] + rows[1]


def ode_log_prob(score: Score, x_0: Tensor) -> Tensor:
    """log p(x_0) = log p_T(x_T) + integral of the divergence; without a known p_T one takes N(0, sigma_max^2)."""
    x_T, divergence = flow(score, x_0, SIGMAS.flip(0))
    return log_prob(x_T, SIGMAS[0]) + divergence


def main(updates: int = 3000, n: int = 1000, seed: int = 0) -> dict[str, float]:
    """Train on -eps / sigma; compare scores, mode shares and likelihoods with the truth."""
    generator = torch.Generator().manual_seed(seed)
    network = ScoreNetwork(generator)
    train(network, updates, generator)
    x_0, noise, two = draw_data(n, generator), torch.randn(n, 2, generator=generator), torch.tensor(2.0)
    x_t, truth = x_0 + 2 * noise, exact_score(x_0 + 2 * noise, two)
    identity = averaged_target(x_t, 2.0, draw_data(10_000, generator))
    with torch.no_grad():
        learned = network(x_t, two)
        plain = langevin(exact_score, 8 * noise, SIGMAS[-1:], 300, generator)  # exact: only the sampler can err
        annealed = langevin(exact_score, SIGMAS[0] * noise, SIGMAS, 5, generator)
    ode = flow(network, SIGMAS[0] * noise, SIGMAS)[0]
    errors = {"identity_error": identity - truth, "network_error": learned - truth}
    facts = {name: (error.norm() / truth.norm()).item() for name, error in errors.items()}
    shown = ", of the network ".join(f"{error:.4f}" for error in facts.values())
    print(f"relative error of the score at sigma = 2: of E[-eps / sigma | x_t] {shown}")
    for name, x in {"plain": plain, "annealed": annealed, "ode": ode}.items():
        facts[f"{name}_share"] = (x.sum(1) < 0).float().mean().item()
        facts[f"{name}_nll"] = -log_prob(x, two * 0).mean().item()
        print(f"{name:8s} sampling: share of the lesser mode {facts[f'{name}_share']:.3f} (of 0.200)")
    exact = log_prob(x_0, two * 0)
    facts |= {"nll": -exact.mean().item(), "network_nll": -ode_log_prob(network, x_0).mean().item()}
    facts["ode_log_prob_error"] = (ode_log_prob(exact_score, x_0) - exact).abs().mean().item()
    print(f"-log p of the data, nats: exact {facts['nll']:.4f}, by the network's ODE {facts['network_nll']:.4f}")
    return facts


if __name__ == "__main__":
    main()
