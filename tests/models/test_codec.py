from __future__ import annotations

import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.models import Diffusion
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.codec import Latents, Pixels

AUTOENCODER = {"kind": "vae", "spatial": True, "latent": 3, "channels": 8, "likelihood": "gaussian"}
NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}


def latent_model(**options: object) -> Diffusion:
    torch.manual_seed(0)
    codec = {"kind": "latents", "autoencoder": AUTOENCODER}
    model = build_model({"network": NETWORK, "codec": codec, "clip": False, **options}, (1, 16, 12), 0)
    assert isinstance(model, Diffusion)
    return model


def test_measured_codes_have_mean_zero_and_deviation_one_and_come_back() -> None:
    codec = latent_model().codec
    assert isinstance(codec, Latents)
    assert codec.latent_shape == (3, 4, 3)
    codes = 3 * torch.randn(500, *codec.latent_shape, generator=torch.Generator().manual_seed(0)) + 2
    codec.measure(codes)
    z = codec.normalised(codes)
    assert float(z.mean((0, 2, 3)).abs().max()) < 1e-5
    assert float(z.std()) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(codec.decode(z), codec.network.decode(codes).clamp(-1, 1))


def test_a_latent_model_samples_images_and_is_whole_without_the_autoencoders_run() -> None:
    model = latent_model().eval()
    assert isinstance(model.codec, Latents)
    model.codec.measure(torch.randn(64, 3, 4, 3, generator=torch.Generator().manual_seed(0)))
    images = model.sample(range(3))
    assert images.shape == (3, 1, 16, 12)
    again = build_model(model_spec(model), (1, 16, 12), 0).eval()
    again.load_state_dict(model.state_dict())
    assert isinstance(again, Diffusion)
    assert torch.equal(again.sample(range(3)), images)


def test_the_autoencoder_learns_nothing_and_codes_in_the_batch_replace_encoding() -> None:
    model = latent_model()
    model.train()
    assert isinstance(model.codec, Latents)
    assert not model.codec.network.training
    assert not any(parameter.requires_grad for parameter in model.codec.parameters())
    image = torch.zeros(2, 1, 16, 12)
    code = model.codec.encode(image)
    torch.testing.assert_close(model.encoded(Batch(image, {})), code)
    assert model.encoded(Batch(image, {}, code + 1)) is not None
    torch.testing.assert_close(model.encoded(Batch(image, {}, code + 1)), code + 1)


def test_a_code_that_is_no_image_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"model\.spatial=true"):
        latent_model(codec={"kind": "latents", "autoencoder": {"kind": "vae"}})
    with pytest.raises(ValueError, match="unknown autoencoder of codec 'latents' 'gan'"):
        latent_model(codec={"kind": "latents", "autoencoder": {"kind": "gan"}})


def test_pixels_are_the_identity() -> None:
    codec, image = Pixels((1, 4, 4)), torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    assert codec.latent_shape == (1, 4, 4)
    assert torch.equal(codec.decode(codec.encode(image)), image)


@pytest.mark.parametrize("kind", ["vae", "autoencoder"])
def test_decoding_without_the_clamp_has_a_derivative_everywhere(kind: str) -> None:
    torch.manual_seed(0)
    options = {"likelihood": "gaussian"} if kind == "vae" else {}
    codec = Latents((1, 16, 16), {"kind": kind, "spatial": True, "latent": 3, "channels": 8, **options})
    z = (20 * torch.randn(2, 3, 4, 4)).requires_grad_()
    decoded = codec.decode(z, clamp=False)
    assert decoded.abs().max() > 1
    torch.testing.assert_close(decoded.clamp(-1, 1), codec.decode(z))
    (gradient,) = torch.autograd.grad(decoded.sum(), z)
    assert (gradient != 0).all()


def test_pixels_are_clamped_unless_asked_not_to() -> None:
    z = torch.tensor([-2.0, 0.5, 3.0]).reshape(1, 1, 1, 3)
    assert Pixels((1, 1, 3)).decode(z).flatten().tolist() == [-1, 0.5, 1]
    assert torch.equal(Pixels((1, 1, 3)).decode(z, clamp=False), z)
