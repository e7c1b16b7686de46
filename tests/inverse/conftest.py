"""Gaussian images, about which everything is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.inverse import Operator
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import Schedule


@dataclass(frozen=True, eq=False)
class GaussianImages:
    """x_0 ~ N(mean, covariance) over the flattened pixels of images (C, H, W)."""

    mean: Tensor
    covariance: Tensor
    shape: tuple[int, int, int]

    def denoiser(self, schedule: Schedule) -> GaussianDenoiser:
        return GaussianDenoiser(self, schedule)

    def matrix(self, operator: Operator) -> Tensor:
        basis = torch.eye(len(self.mean), dtype=torch.float64).reshape(-1, *self.shape)
        return operator.forward(basis).flatten(1).T

    def given(self, operator: Operator, y: Tensor, noise: float) -> GaussianImages:
        """x_0 given one observation y = A x_0 + noise n (1, *): Gaussian, by Bayes' rule."""
        a = self.matrix(operator)
        spread = a @ self.covariance @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
        gain = self.covariance @ a.T @ torch.linalg.pinv(spread, hermitian=True)
        mean = self.mean + gain @ (y.flatten() - a @ self.mean)
        return GaussianImages(mean, self.covariance - gain @ a @ self.covariance, self.shape)


@dataclass(frozen=True, eq=False)
class GaussianDenoiser:
    """x_0 = mu + alpha C (alpha^2 C + sigma^2 I)^-1 (x_t - alpha mu)."""

    images: GaussianImages
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        mean, covariance = self.images.mean, self.images.covariance
        total = alpha**2 * covariance + sigma**2 * torch.eye(len(mean), dtype=torch.float64)
        offset = torch.linalg.solve(total, (x_t.flatten(1) - alpha * mean).T).T
        x_0, eps = mean + alpha * offset @ covariance, sigma * offset
        return Denoised(x_t, x_0.reshape(x_t.shape), eps.reshape(x_t.shape), schedule=self.schedule, t=t)


@pytest.fixture(scope="session")
def white() -> GaussianImages:
    """3x4x4 images of independent pixels, deviation 0.5."""
    draws = torch.Generator().manual_seed(4)
    mean = 0.3 * torch.randn(48, generator=draws, dtype=torch.float64)
    return GaussianImages(mean, 0.25 * torch.eye(48, dtype=torch.float64), (3, 4, 4))


@pytest.fixture(scope="session")
def smooth() -> GaussianImages:
    """3x4x4 images of deviation 0.5 whose neighbours and channels resemble each other."""
    draws = torch.Generator().manual_seed(5)
    places = torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0), torch.arange(4.0)).double()
    covariance = 0.25 * torch.exp(-torch.cdist(places, places).square() / 8)
    covariance = covariance + 1e-3 * torch.eye(48, dtype=torch.float64)
    return GaussianImages(0.3 * torch.randn(48, generator=draws, dtype=torch.float64), covariance, (3, 4, 4))
