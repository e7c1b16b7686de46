"""The exact denoiser of a Gaussian mixture: the oracle of the tests and the toy of the tutorials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule_base import Schedule
from unnoise.seeding import fold


class GaussianMixture:
    """sum_k weights_k N(means_k, stds_k^2 I) on R^D.

    weights (K,), normalised here; means (K, D); stds (K,) or one number. Everything is float64.
    Noise keeps it a mixture: x_t has means alpha_t mu_k and variances alpha_t^2 s_k^2 + sigma_t^2.
    """

    def __init__(self, weights: Tensor, means: Tensor, stds: Tensor | float) -> None:
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.stds = torch.as_tensor(stds, dtype=torch.float64).expand(len(self.means))
        if self.means.ndim != 2 or self.weights.shape != self.means.shape[:1]:
            raise UserError(
                f"need weights (K,) and means (K, D), got {tuple(self.weights.shape)} and {tuple(self.means.shape)}"
            )
        if (self.weights < 0).any() or self.weights.sum() <= 0 or (self.stds <= 0).any():
            raise UserError("need weights of at least 0 with a positive sum, and positive stds")
        self.weights = self.weights / self.weights.sum()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n draws (n, D)."""
        draws = torch.Generator().manual_seed(fold(seed))
        k = torch.multinomial(self.weights, n, replacement=True, generator=draws)
        eps = torch.randn(n, self.means.shape[1], generator=draws, dtype=torch.float64)
        return self.means[k] + self.stds[k, None] * eps

    def log_prob(self, x: Tensor) -> Tensor:
        """log density (B,) at x (B, D), in nats."""
        return torch.logsumexp(self._log_joint(x.to(torch.float64), self.means, self.stds**2), dim=1)

    def at(self, schedule: Schedule, t: float | Tensor) -> GaussianMixture:
        """The distribution of x_t, at one time t."""
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        return GaussianMixture(self.weights, alpha * self.means, ((alpha * self.stds) ** 2 + sigma**2).sqrt())

    def denoiser(self, schedule: Schedule) -> MixtureDenoiser:
        """E[x_0 | x_t] and E[eps | x_t] in closed form."""
        return MixtureDenoiser(self, schedule)

    def _log_joint(self, x: Tensor, means: Tensor, var: Tensor) -> Tensor:
        """log weights_k + log N(x; means_k, var_k I), (B, K), for means (B or 1, K, D) or (K, D), var (B or 1, K)."""
        squares = ((x[:, None, :] - means) ** 2).sum(-1)
        return self.weights.log() - 0.5 * (x.shape[1] * torch.log(2 * math.pi * var) + squares / var)


@dataclass(frozen=True)
class MixtureDenoiser:
    """The Denoiser of a Gaussian mixture on a schedule. x_t (B, D), or (B, *) with D numbers a row.

    With r_k the posterior weight of component k and v_k = alpha^2 s_k^2 + sigma^2:
    x_0 = sum_k r_k (mu_k + alpha s_k^2 / v_k (x_t - alpha mu_k)), eps = sum_k r_k sigma / v_k (x_t - alpha mu_k).
    """

    mixture: GaussianMixture
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor | float, cond: Conditions | None = None) -> Denoised:
        t = torch.as_tensor(t, dtype=torch.float64)
        x = x_t.to(torch.float64).flatten(1)
        alpha, sigma = (f(t).reshape(-1, 1) for f in (self.schedule.alpha, self.schedule.sigma))
        means, var = alpha[..., None] * self.mixture.means, (alpha * self.mixture.stds) ** 2 + sigma**2
        posterior = self.mixture._log_joint(x, means, var).softmax(dim=1)
        offset = x[:, None, :] - means
        x_0 = self.mixture.means + (alpha * self.mixture.stds**2 / var)[..., None] * offset
        eps = (sigma / var)[..., None] * offset
        split = [torch.einsum("bk,bkd->bd", posterior, part).reshape(x_t.shape).to(x_t.dtype) for part in (x_0, eps)]
        return Denoised(x_t, *split, schedule=self.schedule, t=t)
