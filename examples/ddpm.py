"""DDPM: destroy data with noise in T small steps, and learn to walk back.

Forward, with alpha_bar_t = prod_{s <= t} (1 - beta_s) (Ho et al. 2020, equations 2 and 4):
    q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t),    q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, 1 - alpha_bar_t).
Given x_0 the way back is Gaussian too, q(x_{t-1} | x_t, x_0) = N(mu_tilde, beta_tilde) (equations 6 and 7). The model
p(x_{t-1} | x_t) = N(mu, beta_t) puts its guess of x_0 there and learns by L_simple = |eps - eps_theta|^2 (equation 14).

The data are eight Gaussians on a ring, so the exact likelihood and E[eps | x_t] stand beside the bound (equation 5)
    -log p(x_0) <= KL(q(x_T | x_0) || N(0, 1)) + sum_t KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) - log p(x_0 | x_1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor, nn

ANGLES = torch.arange(8) * math.pi / 4
MEANS = 1.4 * torch.stack((ANGLES.cos(), ANGLES.sin()), dim=1)
STD, BITS = 0.2, 1 / (2 * math.log(2))  # BITS: nats of two dimensions -> bits per dimension
Eps = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, 2), t (B,)) -> eps (B, 2)


def draw_data(n: int, generator: Generator) -> Tensor:
    which = torch.randint(len(MEANS), (n,), generator=generator)
    return MEANS[which] + STD * torch.randn(n, 2, generator=generator)


def data_log_prob(x: Tensor) -> Tensor:
    square = torch.cdist(x, MEANS).square()
    return torch.logsumexp(-square / (2 * STD**2), dim=1) - math.log(len(MEANS) * 2 * math.pi * STD**2)


class Process:
    """The tables of the forward process; index 0 is the clean picture (alpha_bar_0 = 1)."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.betas = torch.cat((torch.zeros(1), torch.linspace(0.1, 20, steps) / steps))
        self.alpha_bar = (1 - self.betas).cumprod(0)

    def perturb(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps."""
        alpha_bar = self.alpha_bar[t][:, None]
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps

    def clean(self, x_t: Tensor, eps: Tensor, t: int) -> Tensor:
        """The same line solved for x_0."""
        return (x_t - (1 - self.alpha_bar[t]).sqrt() * eps) / self.alpha_bar[t].sqrt()

    def posterior(self, x_t: Tensor, x_0: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """mu_tilde and beta_tilde (equation 7)."""
        now, before, beta = self.alpha_bar[t], self.alpha_bar[t - 1], self.betas[t]
        mean = before.sqrt() * beta / (1 - now) * x_0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * x_t
        return mean, (1 - before) / (1 - now) * beta


def exact_eps(process: Process, x_t: Tensor, t: Tensor) -> Tensor:
    """E[eps | x_t] = -sqrt(1 - alpha_bar_t) grad log p(x_t) for the mixture; x_t (B, 2), t (B,)."""
    alpha_bar = process.alpha_bar[t][:, None]
    var = alpha_bar * STD**2 + 1 - alpha_bar
    residual = x_t[:, None] - alpha_bar[:, None].sqrt() * MEANS
    responsibility = torch.softmax(-residual.square().sum(-1) / (2 * var), dim=1)
    return (1 - alpha_bar).sqrt() / var * (responsibility[..., None] * residual).sum(1)


class Network(nn.Module):
    """eps_theta: an MLP of x_t and a few waves of t / T."""

    def __init__(self, steps: int, generator: Generator) -> None:
        super().__init__()
        self.steps, hidden = steps, (nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU())
        self.net = nn.Sequential(nn.Linear(8, 96), nn.SiLU(), *hidden, nn.Linear(96, 2))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        angle = math.pi / 2 * t[:, None] / self.steps * torch.tensor([1.0, 2.0, 4.0])
        return self.net(torch.cat((2 * x_t, angle.sin(), angle.cos()), dim=1))


def train(network: nn.Module, process: Process, updates: int, generator: Generator) -> None:
    """Algorithm 1: L_simple at a random t."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        x_0, eps = draw_data(512, generator), torch.randn(512, 2, generator=generator)
        t = torch.randint(1, process.steps + 1, (512,), generator=generator)
        optimizer.zero_grad()
        (eps - network(process.perturb(x_0, eps, t), t)).square().mean().backward()
        optimizer.step()
        decay.step()


def ancestral(model: Eps, process: Process, x: Tensor, generator: Generator) -> Tensor:
    """Algorithm 2, x_{t-1} ~ N(mu_tilde(x_t, x_0_hat), beta_t); the last step draws nothing."""
    for t in range(process.steps, 0, -1):
        x_0 = process.clean(x, model(x, torch.full((len(x),), t)), t)
        noise = (t > 1) * process.betas[t].sqrt() * torch.randn(x.shape, generator=generator)
        x = process.posterior(x, x_0, t)[0] + noise
    return x


def ddim(model: Eps, process: Process, x: Tensor, stride: int) -> Tensor:
    """x_s = sqrt(alpha_bar_s) x_0_hat + sqrt(1 - alpha_bar_s) eps_hat (Song et al. 2021a, equation 12, eta = 0)."""
    for t in range(process.steps, 0, -stride):
        eps, s = model(x, torch.full((len(x),), t)), torch.full((len(x),), max(t - stride, 0))
        x = process.perturb(process.clean(x, eps, t), eps, s)
    return x


def bound(model: Eps, process: Process, x_0: Tensor, generator: Generator) -> float:
    """The variational bound on -log p(x_0), all T + 1 terms, in bits per dimension."""
    last = process.alpha_bar[-1]
    total = 0.5 * (last * x_0.square() - last - (1 - last).log()).sum(1)  # KL(q(x_T | x_0) || N(0, 1))
    for t in range(1, process.steps + 1):
        every_t, beta = torch.full((len(x_0),), t), process.betas[t]
        x_t = process.perturb(x_0, torch.randn(x_0.shape, generator=generator), every_t)
        wanted, beta_tilde = process.posterior(x_t, x_0, t)  # at t = 1: x_0 itself, and 0
        mean = process.posterior(x_t, process.clean(x_t, model(x_t, every_t), t), t)[0]
        rest = beta_tilde / beta - 1 - (beta_tilde / beta).log() if t > 1 else (2 * math.pi * beta).log()
        total += 0.5 * ((wanted - mean).square() / beta + rest).sum(1)
    return total.mean().item() * BITS


def main(updates: int = 4000, n: int = 2000, seed: int = 0) -> dict[str, float]:
    """Train, sample both ways, and compare bound and likelihood."""
    generator = torch.Generator().manual_seed(seed)
    process, coarse, network = Process(100), Process(25), Network(100, generator)
    train(network, process, updates, generator)
    x_0, x_T = draw_data(n, generator), torch.randn(n, 2, generator=generator)
    facts = {"exact": -data_log_prob(x_0).mean().item() * BITS}
    with torch.no_grad():
        facts["bound_coarse"] = bound(partial(exact_eps, coarse), coarse, x_0, generator)
        facts["bound_exact"] = bound(partial(exact_eps, process), process, x_0, generator)
        facts["bound_network"] = bound(network, process, x_0, generator)
        samples = {"ancestral": ancestral(network, process, x_T, generator), "ddim": ddim(network, process, x_T, 5)}
    print("bits per dimension:", ", ".join(f"{name} {value:.4f}" for name, value in facts.items()))
    for name, x in samples.items():
        share = torch.cdist(x, MEANS).argmin(1).bincount(minlength=8) / n
        facts |= {f"{name}_nll": -data_log_prob(x).mean().item() * BITS, f"{name}_rarest": share.min().item()}
        print(f"{name}: -log p {facts[f'{name}_nll']:.4f}, rarest mode {facts[f'{name}_rarest']:.3f} (of 0.125)")
    return facts


if __name__ == "__main__":
    main()
