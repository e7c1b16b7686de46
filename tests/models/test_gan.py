from __future__ import annotations

import torch

from unnoise.models.gan import GAN
from unnoise.models.image_model import CanReconstruct, CanSample, CanScore


def make() -> GAN:
    torch.manual_seed(0)
    return GAN((1, 8, 8), channels=8, latent=5).eval()


def test_claims_sampling_alone() -> None:
    model = make()
    assert isinstance(model, CanSample)
    assert not isinstance(model, CanReconstruct)
    assert not isinstance(model, CanScore)


def test_an_image_depends_on_its_seed_alone() -> None:
    model = make()
    together = model.sample([7, 8, 9])
    assert together.shape == (3, 1, 8, 8)
    assert together.abs().max() <= 1
    torch.testing.assert_close(model.sample([8])[0], together[1])
    assert not torch.equal(together[0], together[1])
    assert model.sample([]).shape == (0, 1, 8, 8)


def test_spec_round_trips() -> None:
    model = make()
    again = GAN.build(model.spec(), (1, 8, 8), 0)
    again.load_state_dict(model.state_dict())
    assert torch.equal(model.sample([1]), again.eval().sample([1]))
