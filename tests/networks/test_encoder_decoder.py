from __future__ import annotations

import pytest
import torch

from unnoise.networks.autoencoder import Decoder, Encoder, Grid, latent_shape

SIZES = [(8, 8), (28, 28), (17, 23), (1, 1), (64, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("patch", "levels"), [(1, 1), (1, 3), (2, 2), (4, 2)])
def test_join_is_the_inverse_of_split(size: tuple[int, int], patch: int, levels: int) -> None:
    grid = Grid(size, patch, levels)
    image = torch.randn(2, 3, *size)
    positions = grid.split(image)
    assert positions.shape == (2, 3 * patch**2, *grid.finest)
    assert grid.finest == tuple(side * 2 ** (levels - 1) for side in grid.coarsest)
    assert torch.equal(grid.join(positions), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_there_and_back(size: tuple[int, int], spatial: bool, channels: int) -> None:
    torch.manual_seed(0)
    options = {"channels": 8, "multipliers": (1, 2, 2), "blocks": 2, "patch": 2, "spatial": spatial}
    encoder, decoder = Encoder(channels, 5, size, **options), Decoder(5, channels, size, **options)  # type: ignore[arg-type]
    code = encoder(torch.randn(2, channels, *size))
    assert code.shape[1:] == latent_shape(5, size, 2, (1, 2, 2), spatial)
    image = decoder(code)
    assert image.shape == (2, channels, *size)
    image.square().mean().backward()
    parameters = [*encoder.parameters(), *decoder.parameters()]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)


def test_a_spatial_code_is_a_small_image() -> None:
    assert latent_shape(4, (64, 64), 1, (1, 2, 4), spatial=True) == (4, 16, 16)
    assert latent_shape(4, (65, 64), 2, (1, 2, 4), spatial=True) == (4, 9, 8)
    assert latent_shape(4, (64, 64), 1, (1, 2, 4), spatial=False) == (4,)


def test_nothing_is_halved_into_nothing() -> None:
    with pytest.raises(ValueError, match="at least 1 level"):
        Grid((8, 8), 1, 0)
