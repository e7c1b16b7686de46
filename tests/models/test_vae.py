"""The VAE: its bounds against closed forms, and what it claims."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from unnoise.models.image_model import CanReconstruct, CanSample, CanScore
from unnoise.models.likelihoods import LIKELIHOODS
from unnoise.models.log_likelihood import LogLikelihood
from unnoise.models.vae import VAE, Posterior
from unnoise.process.divergence import kl_gaussian
from unnoise.seeding import StepNoise

SMALL = {"channels": 8, "latent": 4}


def make(**options: object) -> VAE:
    torch.manual_seed(0)
    model = VAE((1, 8, 8), **{**SMALL, **options})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


def images(count: int = 32) -> Tensor:
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(1)) / 127.5 - 1


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_claims_what_it_can(likelihood: str, spatial: bool) -> None:
    model = make(likelihood=likelihood, spatial=spatial)
    assert isinstance(model, CanSample)
    assert isinstance(model, CanReconstruct)
    assert isinstance(model, CanScore)
    z = model.encode(images())
    assert z.shape[1:] == model.latent_shape == ((4, 2, 2) if spatial else (4,))
    for image in (model.decode(z), model.sample(seeds=range(32))):
        assert image.shape == (32, 1, 8, 8)
        assert image.abs().max() <= 1
    assert model.log_likelihood(images()).nats.shape == (32,)
    assert model.log_likelihood(images()).of == LIKELIHOODS[likelihood].of


def test_an_image_depends_on_its_seed_alone() -> None:
    model = make()
    torch.testing.assert_close(model.sample([8])[0], model.sample([7, 8, 9])[1])
    assert not torch.equal(model.sample([7]), model.sample([8]))
    assert model.sample([]).shape == (0, 1, 8, 8)


def test_spec_round_trips() -> None:
    model = make(likelihood="gaussian", spatial=True, multipliers=(1, 2, 2), blocks=2, patch=1)
    spec = model.spec()
    assert spec["multipliers"] == (1, 2, 2)
    again = VAE.build(spec, (1, 8, 8), 0)
    again.load_state_dict(model.state_dict())
    assert torch.equal(model.sample([1]), again.eval().sample([1]))
    assert again.spec() == spec


@pytest.mark.parametrize(
    ("spec", "message"), [({"latnet": 3}, "did you mean 'latent'"), ({"likelihood": "bernuli"}, "'bernoulli'")]
)
def test_unknown_words_are_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAE.build(spec, (1, 8, 8), 0)


def test_the_kl_is_that_of_two_gaussians() -> None:
    draws = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(2, 1, 5, generator=draws, dtype=torch.float64)
    expected = kl_gaussian(mean[0], log_var[0].exp().diag(), torch.zeros(5), torch.eye(5))
    torch.testing.assert_close(Posterior(mean, log_var).kl().sum(), expected)


class Line(nn.Module):
    """z -> slope z + 0.1, as an image of one pixel."""

    def forward(self, z: Tensor) -> Tensor:
        return (0.7 * z + 0.1).reshape(-1, 1, 1, 1)


class LinePosterior(nn.Module):
    """The exact posterior of `Line` with pixel noise s, its mean shifted by `error`."""

    def __init__(self, s: float, error: float) -> None:
        super().__init__()
        self.s, self.error = s, error

    def forward(self, x: Tensor) -> Tensor:
        var = 0.7**2 + self.s**2
        mean = 0.7 * (x.flatten(1) - 0.1) / var + self.error
        return torch.cat([mean, torch.full_like(mean, math.log(self.s**2 / var))], dim=1)


def line(error: float) -> VAE:
    """p(x) = N(0.1, 0.7^2 + s^2), s = 1/2, in closed form."""
    model = VAE((1, 1, 1), latent=1, likelihood="gaussian", channels=2, multipliers=(1,), patch=1)
    model.decoder, model.encoder = Line(), LinePosterior(0.5, error)  # type: ignore[assignment]
    nn.init.constant_(model.pixels.log_scale, math.log(0.5))  # type: ignore[arg-type]
    return model


def exact(x: Tensor) -> Tensor:
    return torch.distributions.Normal(0.1, math.hypot(0.7, 0.5)).log_prob(x.flatten())


def test_with_the_exact_posterior_every_weight_is_the_evidence() -> None:
    x = torch.linspace(-1, 1, 20).reshape(-1, 1, 1, 1)
    target = line(0.0).pixels.target(x, StepNoise(3))
    weights = line(0.0).importance_weights(x, 5, StepNoise(3))
    torch.testing.assert_close(weights, exact(target).expand(5, 20), rtol=1e-4, atol=1e-4)


def test_the_bounds_lie_below_the_evidence_in_their_order() -> None:
    """With a posterior off by 0.8, the gap of the ELBO is KL(q || posterior), and K = 50 samples close most of it."""
    x = torch.zeros(4096, 1, 1, 1)
    evidence = float(exact(x).mean())
    model = line(0.8)
    elbo, few, many = (float(model.log_likelihood(x, samples=k).nats.mean()) for k in (1, 5, 50))
    assert elbo < few < many < evidence + 0.01
    gap = 0.8**2 / (2 * 0.5**2 / (0.7**2 + 0.5**2))
    assert evidence - elbo == pytest.approx(gap, abs=0.05)
    assert evidence - many < 0.2 * gap


def test_bits_per_dim_count_levels() -> None:
    """A likelihood that is uniform over the levels has 8 bits, as a density on a range of 256 levels has."""
    nats = torch.tensor([-math.log(256) * 12])
    assert float(LogLikelihood(nats, exact=True, of="levels").bits_per_dim(12)) == pytest.approx(8)
    flat = torch.tensor([-math.log(256 / 127.5) * 12])
    assert float(LogLikelihood(flat, exact=True, of="density").bits_per_dim(12)) == pytest.approx(8)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_any_vaes_elbo_is_below_its_importance_weighted_bound(likelihood: str) -> None:
    model, x = make(likelihood=likelihood), images(256)
    elbo, tighter = (model.log_likelihood(x, samples=k).nats for k in (1, 20))
    assert elbo.mean() < tighter.mean()
    assert not model.log_likelihood(x).exact


def test_a_score_is_a_function_of_image_place_and_seed() -> None:
    model, x = make(), images(300)
    assert torch.equal(model.log_likelihood(x, seed=2).nats, model.log_likelihood(x, seed=2).nats)
    assert not torch.equal(model.log_likelihood(x, seed=2).nats, model.log_likelihood(x, seed=3).nats)
    with pytest.raises(ValueError, match="samples must be at least 1"):
        model.log_likelihood(x, samples=0)
