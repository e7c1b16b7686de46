"""Divergences between distributions, in nats."""

from __future__ import annotations

import torch
from scipy.integrate import quad
from torch import Tensor

from unnoise.errors import UserError


def kl_discrete(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) = sum p log(p / q) over the last dimension; 0 log 0 = 0, infinite where q has no mass and p has.

    p, q (..., K): probabilities that sum to 1. Raises UserError otherwise. KL(Bernoulli 0.6 || Bernoulli 0.7) =
    kl_discrete([0.4, 0.6], [0.3, 0.7]) = 0.0225824.
    """
    p, q = _probabilities(p), _probabilities(q)
    terms = torch.where(p > 0, p * (p.log() - q.log()), 0.0)
    return terms.sum(-1)


def js_discrete(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon: (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2; between 0 and log 2 (Lin 1991)."""
    p, q = _probabilities(p), _probabilities(q)
    middle = (p + q) / 2
    return (kl_discrete(p, middle) + kl_discrete(q, middle)) / 2


def kl_gaussian(mean_1: Tensor, cov_1: Tensor, mean_2: Tensor, cov_2: Tensor) -> Tensor:
    """KL(N(mean_1, cov_1) || N(mean_2, cov_2)) for means (D,) and covariances (D, D).

    = (tr(C2^-1 C1) + (m2 - m1)^T C2^-1 (m2 - m1) - D + log det C2 - log det C1) / 2.
    """
    mean_1, cov_1, mean_2, cov_2 = (x.to(torch.float64) for x in (mean_1, cov_1, mean_2, cov_2))
    factor = torch.linalg.cholesky(cov_2)
    offset = (mean_2 - mean_1)[:, None]
    trace = torch.cholesky_solve(cov_1, factor).trace()
    square = (offset.T @ torch.cholesky_solve(offset, factor)).squeeze()
    return 0.5 * (trace + square - len(mean_1) + torch.logdet(cov_2) - torch.logdet(cov_1))


def js_gaussian(mean_1: float, std_1: float, mean_2: float, std_2: float) -> float:
    """Jensen-Shannon between two Gaussians on the line, by adaptive quadrature (it has no closed form)."""
    p, q = torch.distributions.Normal(mean_1, std_1), torch.distributions.Normal(mean_2, std_2)

    def integrand(x: float) -> float:
        log_p, log_q = (d.log_prob(torch.tensor(x, dtype=torch.float64)) for d in (p, q))
        log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0, dtype=torch.float64))
        return float(0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)))

    low = min(mean_1 - 12 * std_1, mean_2 - 12 * std_2)
    high = max(mean_1 + 12 * std_1, mean_2 + 12 * std_2)
    return quad(integrand, low, high, points=sorted({mean_1, mean_2}), limit=500)[0]


def _probabilities(p: Tensor) -> Tensor:
    p = torch.as_tensor(p, dtype=torch.float64)
    if (p < 0).any() or not torch.allclose(p.sum(-1), torch.ones((), dtype=torch.float64)):
        raise UserError(f"probabilities must be at least 0 and sum to 1; got sums {p.sum(-1).tolist()}")
    return p
