from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from unnoise.networks.gan import Discriminator, Generator, SpectralNorm


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (17, 23), (1, 1)])
@pytest.mark.parametrize("spectral", [False, True])
def test_any_size(size: tuple[int, int], spectral: bool) -> None:
    torch.manual_seed(0)
    generator = Generator(6, 3, size, channels=8)
    discriminator = Discriminator(3, size, channels=8, spectral=spectral)
    image = generator(torch.randn(4, 6))
    assert image.shape == (4, 3, *size)
    assert image.abs().max() <= 1
    logits = discriminator(image)
    assert logits.shape == (4,)
    logits.sum().backward()
    for network in (generator, discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_image_is_a_function_of_its_code_alone() -> None:
    torch.manual_seed(0)
    generator = Generator(6, 1, (8, 8), channels=8).train()
    z = torch.randn(5, 6)
    torch.testing.assert_close(generator(z)[2:3], generator(z[2:3]))


def test_spectral_normalisation_makes_the_largest_singular_value_one() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(1, (8, 8), channels=8, spectral=True)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(3)
    for _ in range(100):
        discriminator.update_norms()
    for layer in (*discriminator.layers, discriminator.last):
        largest = torch.linalg.svdvals(layer.weight.flatten(1))[0]  # type: ignore[operator]
        torch.testing.assert_close(largest, torch.ones(()), rtol=1e-3, atol=0.0)


def test_a_forward_pass_changes_no_norm() -> None:
    """What changed on every look would make a resumed run differ from an uninterrupted one."""
    torch.manual_seed(0)
    discriminator = Discriminator(1, (8, 8), channels=8, spectral=True).train()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    discriminator(torch.randn(4, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    discriminator.update_norms()
    assert any(not torch.equal(before[name], value) for name, value in discriminator.state_dict().items())


def test_the_norms_gradient_is_that_of_the_quotient() -> None:
    """d(W / sigma) in the direction W is zero: scaling the weight changes nothing."""
    weight = torch.randn(3, 4, dtype=torch.float64)
    layer = torch.nn.Linear(4, 3, bias=False, dtype=torch.float64)
    layer.weight.data.copy_(weight)
    norm = SpectralNorm(weight.float()).double()
    for _ in range(200):
        norm.iterate(weight)
    parametrize.register_parametrization(layer, "weight", norm)
    layer(torch.randn(7, 4, dtype=torch.float64)).square().sum().backward()
    original = layer.parametrizations.weight.original  # type: ignore[union-attr]
    assert abs(float((original.grad * original).detach().sum())) < 1e-9  # type: ignore[operator]


def test_batch_std_sees_a_collapse_and_can_be_left_out() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 1, 8, 8)
    others = torch.randn(3, 1, 8, 8)
    for batch_std in (True, False):
        discriminator = Discriminator(1, (8, 8), channels=8, batch_std=batch_std)
        varied = discriminator(torch.cat([image, others]))[0]
        collapsed = discriminator(image.expand(4, 1, 8, 8))[0]
        assert torch.allclose(varied, collapsed, atol=1e-5) is not batch_std


@pytest.mark.parametrize("patches", [False, True])
def test_batch_std_is_karras_et_als_statistic(patches: bool) -> None:
    """One number: the standard deviation over the batch (of the population) of each feature, averaged over all."""
    torch.manual_seed(0)
    discriminator = Discriminator(1, (8, 8), channels=4, multipliers=(1, 2), patches=patches)
    with torch.no_grad():
        discriminator.last.weight.zero_()
        discriminator.last.weight[:, -1] = 1
        discriminator.last.bias.zero_()
    image = torch.randn(5, 1, 8, 8)
    features = discriminator.features(image)[-1].detach().numpy()
    statistic = np.std(features, axis=0).mean()
    positions = 1 if patches else features.shape[2] * features.shape[3]
    np.testing.assert_allclose(discriminator(image).detach(), positions * statistic, rtol=1e-4)
