"""Consistency models: jump to the end of the trajectory in one step.

The probability-flow ODE of the path x_t = x_0 + t eps carries noise to data. A consistency function f(x_t, t) answers
with the end of the trajectory on which x_t lies, so it is constant along it, and f(x, t_min) = x (Song et al. 2023,
definition 1). Distillation enforces just that: one step of a teacher's ODE leads from x_t to x_s, and

    loss = |f_theta(x_t, t) - f_target(x_s, s)|^2,    f_target: an average of f_theta's past     (their equation 7).

On a line the right answer is known. The ODE's trajectories cannot cross, so they keep the order of points, and the end
of the trajectory through x_t is the point of the data's distribution with the same quantile:

    f(x_t, t) = F_0^-1(F_t(x_t)),    F_t the distribution function of the noised mixture.

The teacher is the exact denoiser of a mixture of Gaussians, so whatever error remains belongs to the student.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

WEIGHTS, MEANS, STDS = torch.tensor([[0.3, 0.5, 0.2], [-2.0, 0.5, 2.0], [0.3, 0.25, 0.4]], dtype=torch.float64)
T_MIN, T_MAX, SIGMA_DATA = 0.02, 20.0, 1.4


def components(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Residuals and variances of x_t under each Gaussian N(m_k, s_k^2 + t^2), and p(k | x_t); each (B, K)."""
    residual, var = x[:, None] - MEANS, STDS.square() + t[:, None] ** 2
    return residual, var, torch.softmax(WEIGHTS.log() - 0.5 * (residual.square() / var + var.log()), dim=1)


def denoise(x: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t], the exact denoiser."""
    residual, var, responsibility = components(x, t)
    return (responsibility * (MEANS + STDS.square() / var * residual)).sum(1)


def cdf(x: Tensor, t: Tensor) -> Tensor:
    """F_t(x)."""
    std = (STDS.square() + t[:, None] ** 2).sqrt()
    return (WEIGHTS * torch.special.ndtr((x[:, None] - MEANS) / std)).sum(1)


def exact_consistency(x: Tensor, t: Tensor) -> Tensor:
    """F_tmin^-1(F_t(x)), the inverse by bisection."""
    quantile, t_min = cdf(x, t), torch.full_like(t, T_MIN)
    low, high = torch.full_like(x, -8.0), torch.full_like(x, 8.0)
    for _ in range(50):
        middle = (low + high) / 2
        below = cdf(middle, t_min) < quantile
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def times(n: int) -> Tensor:
    """n + 1 times, falling from T_MAX to T_MIN (Karras et al. 2022, equation 5, rho = 7)."""
    ramp = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    return (T_MAX ** (1 / 7) + ramp * (T_MIN ** (1 / 7) - T_MAX ** (1 / 7))) ** 7


def heun_step(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """One second-order step of dx/dt = (x - D(x, t)) / t (Karras et al. 2022, algorithm 1)."""
    slope = (x - denoise(x, t)) / t
    guess = x + (s - t) * slope
    return x + (s - t) * 0.5 * (slope + (guess - denoise(guess, s)) / s)


class Consistency(nn.Module):
    """f(x, t) = c_skip(t) x + c_out(t) F(c_in x, log t), where c_skip(t_min) = 1 and c_out(t_min) = 0: the boundary
    condition holds by construction (Song et al. 2023, equation 5 and appendix C)."""

    def __init__(self, generator: Generator, width: int = 128) -> None:
        super().__init__()
        hidden = (nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.net = nn.Sequential(nn.Linear(2, width), nn.SiLU(), *hidden, nn.Linear(width, 1))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        total = (t.square() + SIGMA_DATA**2).sqrt()
        c_skip = SIGMA_DATA**2 / ((t - T_MIN) ** 2 + SIGMA_DATA**2)
        c_out = SIGMA_DATA * (t - T_MIN) / total
        raw = self.net(torch.stack((2 * x / total, t.log() / 2), dim=1).float())
        return c_skip * x + c_out * raw[:, 0].double()


def draw_data(n: int, generator: Generator) -> Tensor:
    which = torch.multinomial(WEIGHTS, n, replacement=True, generator=generator)
    return MEANS[which] + STDS[which] * torch.randn(n, generator=generator, dtype=torch.float64)


def distill(student: Consistency, steps: int, generator: Generator, n: int = 18, ema: float = 0.95) -> None:
    """Algorithm 2 of Song et al. 2023 with a Heun teacher, n intervals and an averaged target network."""
    target, grid = copy.deepcopy(student), times(n)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        i = torch.randint(n, (512,), generator=generator)
        t, s = grid[i], grid[i + 1]
        x_t = draw_data(512, generator) + t * torch.randn(512, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            wanted = target(heun_step(x_t, t, s), s)
        loss = (student(x_t, t) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        with torch.no_grad():
            for average, now in zip(target.parameters(), student.parameters(), strict=True):
                average.lerp_(now, 1 - ema)


def wasserstein(samples: Tensor) -> float:
    """The Wasserstein-1 distance to the data: mean distance of sorted samples from the data's quantiles."""
    levels = (torch.arange(len(samples), dtype=torch.float64) + 0.5) / len(samples)
    quantiles = exact_consistency(torch.special.ndtri(levels) * 1e6, torch.full_like(levels, 1e6))
    return (samples.sort().values - quantiles).abs().mean().item()


def main(steps: int = 5000, n: int = 4000, seed: int = 0) -> dict[str, float]:
    """Distil, compare f with the quantile formula, then sample in 1 and 2 jumps, and with the teacher's ODE."""
    generator = torch.Generator().manual_seed(seed)
    student = Consistency(generator)
    distill(student, steps, generator)
    x_T, t_max = T_MAX * torch.randn(n, generator=generator, dtype=torch.float64), torch.full((n,), T_MAX).double()
    with torch.no_grad():
        one = student(x_T, t_max)
        t_mid = torch.full_like(t_max, 0.8)  # the second jump: renoise, jump again (their algorithm 1)
        again = (t_mid**2 - T_MIN**2).sqrt() * torch.randn(n, generator=generator, dtype=torch.float64)
        two = student(one + again, t_mid)
        ode, exact = x_T, exact_consistency(x_T, t_max)
        for t, s in pairwise(times(100)):
            ode = heun_step(ode, t.expand(n), s.expand(n))
    facts = {"boundary": (student(x_T, torch.full_like(t_max, T_MIN)) - x_T).abs().max().item()}
    facts |= {f"{name}_rms": (x - exact).square().mean().sqrt().item() for name, x in (("student", one), ("ode", ode))}
    facts |= {"w1_one": wasserstein(one), "w1_two": wasserstein(two), "w1_ode": wasserstein(ode)}
    facts |= {"w1_denoiser": wasserstein(denoise(x_T, t_max)), "w1_data": wasserstein(draw_data(n, generator))}
    print(f"distance from F_0^-1(F_T(x_T)): 100 Heun steps {facts['ode_rms']:.4f}, one jump {facts['student_rms']:.4f}")
    print("Wasserstein-1 distance to the data of one jump, two, 100 Heun steps, the denoiser once, a fresh draw:")
    print("  ", ", ".join(f"{facts[f'w1_{name}']:.4f}" for name in ("one", "two", "ode", "denoiser", "data")))
    return facts


if __name__ == "__main__":
    main()
