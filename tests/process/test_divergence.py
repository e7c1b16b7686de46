from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from unnoise.process.divergence import js_discrete, js_gaussian, kl_discrete, kl_gaussian


def test_bernoulli_example() -> None:
    assert kl_discrete(torch.tensor([0.4, 0.6]), torch.tensor([0.3, 0.7])).item() == pytest.approx(0.0225824, abs=5e-8)


def test_edges() -> None:
    sure, fair, other = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
    assert kl_discrete(sure, fair).item() == pytest.approx(math.log(2))
    assert kl_discrete(fair, sure) == torch.inf
    assert kl_discrete(sure, sure) == 0
    assert js_discrete(sure, other).item() == pytest.approx(math.log(2))
    with pytest.raises(ValueError, match="sum to 1"):
        kl_discrete(torch.tensor([0.5, 0.4]), fair)


def test_js_is_symmetric_and_bounded() -> None:
    p, q = torch.rand(2, 50, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
    torch.testing.assert_close(js_discrete(p.double().softmax(-1), q.double().softmax(-1)), js_discrete(q.double().softmax(-1), p.double().softmax(-1)))  # fmt: skip  # noqa: E501


def test_gaussian_kl_equals_torchs() -> None:
    draws = torch.Generator().manual_seed(0)
    factor_1, factor_2 = torch.randn(2, 4, 4, generator=draws, dtype=torch.float64)
    mean_1, mean_2 = torch.randn(2, 4, generator=draws, dtype=torch.float64)
    cov_1, cov_2 = (f @ f.T + torch.eye(4, dtype=torch.float64) for f in (factor_1, factor_2))
    expected = kl_divergence(MultivariateNormal(mean_1, cov_1), MultivariateNormal(mean_2, cov_2))
    torch.testing.assert_close(kl_gaussian(mean_1, cov_1, mean_2, cov_2), expected)


def test_js_of_gaussians_on_the_line() -> None:
    assert js_gaussian(0, 1, 0, 1) == pytest.approx(0, abs=1e-9)
    assert js_gaussian(0, 0.01, 50, 0.01) == pytest.approx(math.log(2), rel=1e-6)
    assert js_gaussian(0, 1, 1, 2) == pytest.approx(js_gaussian(1, 2, 0, 1), rel=1e-9)
