"""Changes of images, and that what is told of them is what was done."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import Images, Loader
from unnoise.data.augment import SCALE, SHIFT, STRETCH, WIDTH, augmented, drawn, matrices

SIDES = [(32, 32), (24, 40)]


def smooth(height: int, width: int, seed: int = 0) -> Tensor:
    """(1, 1, H, W): a picture with much in its middle, that interpolation hardly changes."""
    coarse = torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)


def done(**what: float) -> Tensor:
    names = ("mirror", "scale", "cos", "sin", "stretch", "stretch_sin", "right", "down")
    return torch.tensor([[what.get(name, 0.0) for name in names]])


def centre_of_mass(image: Tensor) -> tuple[float, float]:
    """(right, down) of the middle, in pixels."""
    height, width = image.shape[-2:]
    right = torch.arange(width) - (width - 1) / 2
    down = torch.arange(height) - (height - 1) / 2
    total = image.sum()
    return float((image * right).sum() / total), float((image * down[:, None]).sum() / total)


def spot(height: int, width: int, right: float, down: float) -> Tensor:
    """A soft spot so many pixels from the middle."""
    x, y = torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2
    return torch.exp(-((x[None] - right) ** 2 + (y[:, None] - down) ** 2) / 4)[None, None]


QUARTER = {"cos": -1.0, "sin": 1.0}
CASES = [
    (done(), (5.0, 2.0)),
    (done(mirror=1), (-5.0, 2.0)),
    (done(scale=0.5), (5 * 2**0.5, 2 * 2**0.5)),
    (done(**QUARTER), (-2.0, 5.0)),
    (done(stretch=0.5), (5 * 2**0.5, 2 / 2**0.5)),
    (done(stretch=-0.5), (5 / 2**0.5, 2 * 2**0.5)),
    (done(mirror=1, scale=-0.5, **QUARTER), (-2 / 2**0.5, -5 / 2**0.5)),
]


@pytest.mark.parametrize(("height", "width"), SIDES)
@pytest.mark.parametrize(("what", "where"), CASES)
def test_a_spot_goes_where_the_change_takes_it(
    what: Tensor, where: tuple[float, float], height: int, width: int
) -> None:
    """Far from it there may be reflections, beyond what was an edge."""
    moved = augmented(spot(height, width, 5, 2), what)
    near = spot(height, width, *where) > 0.01
    assert centre_of_mass(torch.where(near, moved, 0)) == pytest.approx(where, abs=0.1)
    assert moved.max() > 0.8


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_shifts_are_in_widths_and_heights(height: int, width: int) -> None:
    moved = augmented(spot(height, width, 0, 0), done(right=0.125, down=-0.25))
    assert centre_of_mass(moved) == pytest.approx((width / 8, -height / 4), abs=0.05)


def inverse(theta: Tensor, like: Tensor) -> Tensor:
    """The grid of the inverse of an affine map."""
    square = torch.cat([theta, torch.tensor([[[0.0, 0.0, 1.0]]], dtype=theta.dtype)], dim=1)
    back = torch.linalg.inv(square)[:, :2]
    return F.affine_grid(back.to(like), list(like.shape), align_corners=False)


@pytest.mark.parametrize("seed", range(8))
def test_from_what_the_network_is_told_the_image_comes_back(seed: int) -> None:
    """But for interpolation and what has left the picture: the inverse is computed from the vector alone."""
    image = smooth(48, 64, seed)
    told = torch.from_numpy(drawn(np.random.default_rng(seed), 1, 1.0))
    told[:, 1] = 0.3 * told[:, 1].tanh()
    told[:, 6:] = 0.1 * told[:, 6:].tanh()
    changed = augmented(image, told)
    back = F.grid_sample(changed, inverse(matrices(told, 48, 64), image), align_corners=False)
    forth = F.affine_grid(matrices(told, 48, 64).float(), [1, 1, 48, 64], align_corners=False)
    seen = F.grid_sample(torch.ones_like(image), forth, align_corners=False)
    inside = F.grid_sample(seen, inverse(matrices(told, 48, 64), image), align_corners=False)
    kept = (inside > 0.999)[..., 2:-2, 2:-2]
    assert kept.double().mean() > 0.2
    difference = (back - image)[..., 2:-2, 2:-2][kept]
    assert float(difference.square().mean().sqrt()) < 0.05 * float(image.std())


def test_nothing_done_and_mirroring_keep_the_bits() -> None:
    images = torch.randn(3, 2, 9, 7)
    what = torch.cat([done(), done(mirror=1), done(right=0.1)])
    found = augmented(images, what)
    assert torch.equal(found[0], images[0])
    assert torch.equal(found[1], images[1].flip(2))
    assert not torch.equal(found[2], images[2])


def test_changes_have_their_distribution() -> None:
    """Each kind with its probability, of its standard deviation; the turn uniform."""
    what = drawn(np.random.default_rng(0), 100_000, 0.3)
    assert what.shape == (100_000, WIDTH)
    assert what[:, 0].mean() == pytest.approx(0.15, abs=0.005)
    for column, std in ((1, SCALE), (6, SHIFT), (7, SHIFT)):
        happens = what[:, column] != 0
        assert happens.mean() == pytest.approx(0.3, abs=0.006)
        assert what[happens, column].std() == pytest.approx(std, rel=0.02)
    turned = what[:, 3] != 0
    assert turned.mean() == pytest.approx(0.3, abs=0.006)
    assert np.allclose((what[:, 2] + 1) ** 2 + what[:, 3] ** 2, 1, atol=1e-5)
    assert np.abs(np.exp(1j * np.arctan2(what[turned, 3], what[turned, 2] + 1)).mean()) < 0.02
    stretch = np.hypot(what[:, 4], what[:, 5])
    assert math.sqrt((stretch[stretch > 0] ** 2).mean()) == pytest.approx(STRETCH, rel=0.02)
    kinds = (what[:, [1, 3, 4, 6]] != 0).sum(1)
    assert np.bincount(kinds, minlength=5)[4] / len(what) == pytest.approx(0.3**4, abs=0.002), "independent"


def test_a_loader_tells_exactly_what_it_did() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    plain, changing = Loader(Images(pixels), 12, 3), Loader(Images(pixels), 12, 3, augment=0.5)
    for step in (0, 1, 7):
        real, batch = plain.batch(step), changing.batch(step)
        assert torch.equal(batch.image, augmented(real.image, batch.cond["augment"]))
        assert (batch.cond["augment"] != 0).any()
        part = changing.batch(step, slice(3, 8))
        assert torch.equal(part.image, batch.image[3:8])
        assert torch.equal(part.cond["augment"], batch.cond["augment"][3:8])
    assert not torch.equal(changing.batch(0).cond["augment"], changing.batch(1).cond["augment"])
    other = Loader(Images(pixels), 12, 4, augment=0.5)
    assert not torch.equal(changing.batch(0).cond["augment"], other.batch(0).cond["augment"])
