from __future__ import annotations

import pytest
import torch

from unnoise.models.autoencoder import Autoencoder
from unnoise.models.image_model import CanReconstruct, CanSample, CanScore


def make(**options: object) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder((3, 9, 14), **{"channels": 8, "latent": 5, **options}).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("spatial", [False, True])
def test_encodes_and_decodes(spatial: bool) -> None:
    model = make(spatial=spatial)
    assert isinstance(model, CanReconstruct)
    image = torch.rand(2, 3, 9, 14) * 2 - 1
    z = model.encode(image)
    assert z.shape[1:] == model.latent_shape
    again = model.decode(z)
    assert again.shape == image.shape
    assert again.abs().max() <= 1
    torch.testing.assert_close(again, model(image).clamp(-1, 1))


def test_claims_no_sampling_and_says_why() -> None:
    model = make()
    assert not isinstance(model, CanSample)
    assert not isinstance(model, CanScore)
    with pytest.raises(AttributeError, match=r"no prior to draw latents from.*train a vae, a gan or a diffusion model"):
        model.sample(range(3))
    with pytest.raises(AttributeError, match="smaple"):
        model.smaple  # noqa: B018


def test_spec_round_trips() -> None:
    model = make(spatial=True, multipliers=(1, 2, 2))
    again = Autoencoder.build(model.spec(), (3, 9, 14), 0)
    again.load_state_dict(model.state_dict())
    image = torch.rand(2, 3, 9, 14)
    assert torch.equal(model.encode(image), again.eval().encode(image))
