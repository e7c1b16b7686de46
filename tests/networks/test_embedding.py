"""Features of the noise level against their formulas, number by number."""

from __future__ import annotations

import math

import pytest
import torch

from unnoise.models.assembly import build_model
from unnoise.networks.embedding import FourierEmbedding, SinusoidalEmbedding


@pytest.mark.parametrize("dim", [2, 8, 9])
@pytest.mark.parametrize("period", [10_000.0, 50.0])
def test_sinusoids_go_from_fast_to_slow(dim: int, period: float) -> None:
    """cos then sin of level / period^(i / half), i = 0 the fastest: the first frequency is 1."""
    half = dim // 2
    for level in (0.0, 1.0, 37.5, 1000.0):
        angles = [level / period ** (i / half) for i in range(half)]
        expected = [*map(math.cos, angles), *map(math.sin, angles), *[0.0] * (dim % 2)]
        got = SinusoidalEmbedding(dim, period)(torch.tensor([level]))
        torch.testing.assert_close(got, torch.tensor([expected]), rtol=0, atol=2e-4)


@pytest.mark.parametrize("flip", [True, False])
def test_sinusoids_are_diffusers_but_for_the_order_of_cos_and_sin(flip: bool, diffusers) -> None:
    level = torch.tensor([0.0, 3.0, 250.0, 999.0])
    theirs = diffusers.models.embeddings.get_timestep_embedding(level, 32, flip, downscale_freq_shift=0)
    ours = SinusoidalEmbedding(32)(level)
    torch.testing.assert_close(ours if flip else ours.roll(16, dims=1), theirs, rtol=0, atol=1e-4)


def test_fourier_features_turn_with_the_scale() -> None:
    """Full turns of normal frequencies of standard deviation `scale`: at level 1 / (2 pi w) the cosine is cos 1."""
    features = FourierEmbedding(4096, scale=3.0)
    turns = features.frequencies / (2 * math.pi)
    assert turns.std().item() == pytest.approx(3.0, rel=0.05)
    assert turns.mean().item() == pytest.approx(0.0, abs=0.2)
    level = torch.tensor([0.05])
    expected = torch.cat([(0.05 * features.frequencies).cos(), (0.05 * features.frequencies).sin()])
    torch.testing.assert_close(features(level)[0], expected)


@pytest.mark.parametrize(("parametrization", "near", "far"), [("eps", 1.0, 300.0), ("edm", 0.004, 1.2)])
def test_fourier_features_tell_near_levels_alike_and_far_ones_apart(
    parametrization: str, near: float, far: float
) -> None:
    """They were made for levels of -2 to 2 and were given 0 to 1000: neighbours had nothing to do with each other."""
    network = {"kind": "unet", "channels": 64, "multipliers": [1], "blocks": 1, "time_features": "fourier"}
    spec = {"network": network, "parametrization": parametrization, "schedule": "ve"}
    features = build_model(spec, (1, 8, 8), 0).network.embed_time[0]  # type: ignore[union-attr, index]
    here, close, away = features(torch.tensor([0.0, near, far]))
    assert float(here @ close / 32) > 0.85 > 0.5 > abs(float(here @ away / 32))


def test_fourier_features_come_from_the_checkpoint() -> None:
    """Those of a run trained with other frequencies stay what they were."""
    old, new = FourierEmbedding(16), FourierEmbedding(16, span=1000.0)
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(torch.tensor([0.3])), old(torch.tensor([0.3])))
