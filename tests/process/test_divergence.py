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
    p, q = (4 * torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).softmax(-1)
    torch.testing.assert_close(js_discrete(p, q), js_discrete(q, p))
    assert (js_discrete(p, q) > 0).all()
    assert (js_discrete(p, q) < math.log(2)).all()
    assert (js_discrete(p, p) == 0).all()


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


def test_js_of_gaussians_is_the_mean_of_their_kls_to_the_mixture() -> None:
    draws = torch.Generator().manual_seed(0)
    p, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.7, 0.4)
    terms = torch.zeros(400_000)
    for own in (p, q):
        x = own.mean + own.stddev * torch.randn(len(terms), generator=draws)
        terms += 0.5 * (own.log_prob(x) - torch.logaddexp(p.log_prob(x), q.log_prob(x)) + math.log(2))
    assert js_gaussian(0, 1, 0.7, 0.4) == pytest.approx(float(terms.mean()), abs=4 * float(terms.std()) / 632)


def test_near_distributions_do_not_cancel() -> None:
    """KL is half the chi-squared distance to first order."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    step = 1e-4 * torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    assert kl_discrete(p + step, p).item() == pytest.approx(0.5 * float((step**2 / p).sum()), rel=1e-3)
