"""Editing through codecs whose answers are known: linear ones, and a network's derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unnoise.inverse import (
    METHODS,
    MMPS,
    Blur,
    Decoded,
    Downsampling,
    Grey,
    Inpainting,
    Operator,
    colourise,
    deblur,
    inpaint,
    outpaint,
    repaint,
    restore,
    upscale,
    vary,
)
from unnoise.process.schedule import VP
from unnoise.samplers import DDIM

MASK = torch.zeros(4, 4, dtype=torch.bool)
MASK[:, :2] = True
OPERATORS = [Inpainting(MASK), Downsampling(2), Grey(), Blur(0.7)]

every_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: type(o).__name__)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Linear:
    """x = D z for images (3, 4, 4); codes are 2x2 images. The columns of D are orthonormal, so that its inverse, where
    there is one, is D^T."""

    matrix: Tensor

    def encode(self, image: Tensor) -> Tensor:
        return (image.flatten(1) @ self.matrix.to(image)).reshape(len(image), -1, 2, 2)

    latent_shape = (12, 2, 2)

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        image = (z.flatten(1) @ self.matrix.T.to(z)).reshape(len(z), 3, 4, 4)
        return image.clamp(-1, 1) if clamp else image


@pytest.fixture(scope="module")
def rotation() -> Linear:
    return Linear(torch.linalg.qr(normal(48, 48))[0])


@pytest.fixture(scope="module")
def lossy() -> Linear:
    """24 numbers for 48 pixels."""
    return Linear(torch.linalg.qr(normal(48, 48))[0][:, :24])


def coded(images: Any, codec: Linear) -> Any:
    """The codes of Gaussian images, which are Gaussian."""
    d = codec.matrix
    return type(images)(d.T @ images.mean, d.T @ images.covariance @ d, (d.shape[1] // 4, 2, 2))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.1])
@every_operator
def test_through_a_rotation_every_method_is_what_it_is_on_pixels(
    smooth: Any, rotation: Linear, name: str, operator: Operator, noise: float
) -> None:
    """D E[z_0 | z_t, y] = E[x_0 | x_t, y] as each method has it, at early, middle and late times."""
    y = operator.forward(normal(1, 3, 4, 4, seed=6))
    seen = Decoded(operator, rotation, iterations=30)
    in_codes = METHODS[name](seen, y, noise)(coded(smooth, rotation).denoiser(VP()))
    in_pixels = METHODS[name](operator, y, noise)(smooth.denoiser(VP()))
    for share in (0.1, 0.5, 0.9):
        x_t, t = normal(5, 3, 4, 4), torch.tensor(share, dtype=torch.float64)
        expected = in_pixels(x_t, t)
        found = in_codes(rotation.encode(x_t), t)
        torch.testing.assert_close(rotation.decode(found.x_0, clamp=False), expected.x_0, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rotation.decode(found.eps, clamp=False), expected.eps, rtol=1e-5, atol=1e-5)


@every_operator
def test_mmps_is_exact_through_a_decoder_of_fewer_codes_than_pixels(
    smooth: Any, lossy: Linear, operator: Operator
) -> None:
    codes = coded(smooth, lossy)
    seen = Decoded(operator, lossy)
    y = seen.forward(codes.mean.reshape(1, 6, 2, 2) + 0.5 * normal(1, 6, 2, 2, seed=3))
    exact = codes.given(seen, y, 0.1).denoiser(VP())
    guided = MMPS(seen, y, 0.1, iterations=100)(codes.denoiser(VP()))
    for share in (0.1, 0.5, 0.9):
        z_t, t = normal(5, 6, 2, 2), torch.tensor(share, dtype=torch.float64)
        torch.testing.assert_close(guided(z_t, t).x_0, exact(z_t, t).x_0, rtol=1e-4, atol=1e-4)


@every_operator
def test_images_restored_from_codes_have_the_mean_of_the_posterior(
    white: Any, rotation: Linear, operator: Operator
) -> None:
    """The whole way of `restore`, at a tenth of the deviation so that nothing is clamped."""
    small = type(white)(0.3 * white.mean, 0.01 * torch.eye(48, dtype=torch.float64), (3, 4, 4))
    y = operator.forward((small.mean + 0.1 * normal(48, seed=6)).reshape(1, 3, 4, 4))
    method = {"kind": "pigdm", "data_std": 0.1}
    options: dict[str, Any] = {"method": method, "sampler": DDIM(steps=60), "seeds": range(400), "noise": 0.02}
    denoiser = coded(small, rotation).denoiser(VP())
    drawn = restore(denoiser, operator, y, codec=rotation, **options).mean(0).flatten()
    exact = small.given(operator, y, 0.02).mean
    assert float((small.mean - exact).abs().max()) > 0.05, "the observation moves the mean"
    torch.testing.assert_close(drawn, exact, rtol=0, atol=0.02)


def test_what_the_codec_loses_counts_as_noise(rotation: Linear, lossy: Linear) -> None:
    y = normal(2, 3, 4, 4)
    torch.testing.assert_close(Decoded(Grey(), rotation).loss(Grey().forward(y)), torch.zeros(2, 1, 1, 1).double())
    everything = Inpainting(torch.ones(4, 4, dtype=torch.bool))
    lost = (y - lossy.decode(lossy.encode(y), clamp=False)).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(Decoded(everything, lossy).loss(y).flatten(), lost)
    half = Decoded(Inpainting(MASK), lossy)
    seen = Inpainting(MASK).forward(y)
    lost = (seen - lossy.decode(lossy.encode(seen), clamp=False))[..., MASK].square().mean((1, 2)).sqrt()
    torch.testing.assert_close(half.loss(seen).flatten(), lost)


def test_the_tangent_is_the_derivative_of_a_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))
    network = network.double().requires_grad_(False)
    codec = Network(network)
    z, x, y = normal(2, 2, 4, 4), normal(2, 2, 4, 4, seed=1), normal(2, 1, 4, 4, seed=2)
    value, tangent = Decoded(Grey(), codec).at(z)
    torch.testing.assert_close(value, Grey().forward(network(z)))
    for row in range(2):
        rows = slice(row, row + 1)
        jacobian = torch.autograd.functional.jacobian(lambda z: Grey().forward(network(z)), z[rows]).reshape(16, 32)
        torch.testing.assert_close(tangent.forward(x)[row].flatten(), jacobian @ x[row].flatten())
        torch.testing.assert_close(tangent.adjoint(y)[row].flatten(), jacobian.T @ y[row].flatten())
        dense = 0.7 * jacobian @ jacobian.T + 0.3 * torch.eye(16, dtype=torch.float64)
        _, exact = Decoded(Grey(), codec, iterations=32).at(z)
        solved = exact.solve(y, torch.full((2, 1, 1, 1), 0.7, dtype=torch.float64), 0.3)[row].flatten()
        torch.testing.assert_close(solved, torch.linalg.solve(dense, y[row].flatten()), rtol=1e-5, atol=1e-5)


@dataclass(frozen=True, eq=False)
class Network:
    network: nn.Module

    def encode(self, image: Tensor) -> Tensor:
        return image[:, :2]

    latent_shape = (2, 2, 2)

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        return self.network(z).clamp(-1, 1) if clamp else self.network(z)


@pytest.mark.parametrize("task", [inpaint, repaint])
def test_known_pixels_are_kept_to_the_bit_through_a_lossy_codec(smooth: Any, lossy: Linear, task: Any) -> None:
    """What lies under the mask does not matter, NaN included; rows may have masks of their own."""
    image = normal(2, 3, 4, 4).clamp(-1, 1).float()
    known = torch.stack([MASK, ~MASK])[:, None]
    few: dict[str, Any] = {"steps": 4} if task is repaint else {"sampler": DDIM(steps=4)}
    denoiser = coded(smooth, lossy).denoiser(VP())
    drawn, again = (
        task(denoiser, given, known, codec=lossy, seeds=[3, 4], **few)
        for given in (image, torch.where(known, image, torch.nan))
    )
    assert torch.equal(drawn, again)
    assert torch.equal(torch.where(known, drawn, 0.0), torch.where(known, image, 0.0).to(drawn))
    assert not torch.equal(drawn, image.to(drawn))


def test_repaint_keeps_the_codes_whose_pixels_are_all_known(smooth: Any) -> None:
    """Latents that are 2x2 squares of pixels and a mask of whole squares: nothing is lost, and the mean comes as near
    to the posterior's as on pixels; a mask that cuts them leaves no code known, the mean is that of plain samples."""
    codec = Squares()
    permutation = codec.encode(torch.arange(48.0, dtype=torch.float64).reshape(1, 3, 4, 4)).flatten().long()
    codes = type(smooth)(smooth.mean[permutation], smooth.covariance[permutation][:, permutation], (12, 2, 2))
    image = (smooth.mean + torch.linalg.cholesky(smooth.covariance) @ torch.ones(48).double()).reshape(1, 3, 4, 4)
    cut = torch.ones(4, 4, dtype=torch.bool)
    cut[:, ::2] = False
    errors = []
    for known in (MASK, cut):
        operator = Inpainting(known)
        exact = smooth.given(operator, operator.forward(image), 0.0).mean.reshape(3, 4, 4)
        options: dict[str, Any] = {"steps": 40, "jump": 4, "seeds": range(64), "codec": codec}
        drawn = repaint(codes.denoiser(VP()), image, known, **options).mean(0)
        errors.append(float((drawn - exact)[:, ~known].square().mean().sqrt()))
    assert errors[0] < 0.5 * errors[1]


class Squares:
    def encode(self, image: Tensor) -> Tensor:
        return torch.nn.functional.pixel_unshuffle(image, 2)

    latent_shape = (12, 2, 2)

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        image = torch.nn.functional.pixel_shuffle(z, 2)
        return image.clamp(-1, 1) if clamp else image


def test_every_task_takes_a_codec(smooth: Any, rotation: Linear) -> None:
    """Strength 0 of a variation is what the codec makes of the image; the others come in the images' shape."""
    denoiser = coded(smooth, rotation).denoiser(VP())
    image = 0.5 * normal(1, 3, 4, 4).clamp(-1, 1)
    torch.testing.assert_close(vary(denoiser, image, 0.0, codec=rotation), image)
    few: dict[str, Any] = {"codec": rotation, "sampler": DDIM(steps=3), "seeds": [1, 2]}
    for drawn in (
        vary(denoiser, image, 0.5, **few),
        upscale(denoiser, image[..., ::2, ::2], 2, **few),
        colourise(denoiser, image[:, :1], **few),
        deblur(denoiser, image, 0.6, noise=0.01, **few),
        outpaint(denoiser, image[..., :2, :], (0, 0, 1, 1), **few),
    ):
        assert drawn.shape == (2, 3, 4, 4)
        assert drawn.abs().max() <= 1
        assert not drawn.requires_grad
        assert not torch.equal(drawn[0], drawn[1])
