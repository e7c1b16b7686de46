"""When a version disagrees with the picture that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from unnoise.editing.residual import Residual, joined, unexplained, warning
from unnoise.inverse import Blur, Downsampling, Inpainting


@dataclass(frozen=True)
class Rounded:
    """A codec that keeps multiples of `step` alone."""

    step: float
    latent_shape: tuple[int, int, int] = (1, 4, 4)

    def encode(self, image: Tensor) -> Tensor:
        return self.step * (image / self.step).round()

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        return z


def test_it_is_the_root_mean_square_over_what_was_observed() -> None:
    """Only the known quarter counts: off by 0.3 there, by anything elsewhere."""
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[:2, :2] = True
    seen = torch.full((1, 1, 4, 4), 0.25) * known
    images = torch.stack([torch.where(known, 0.25, 9.0), torch.where(known, 0.55, -9.0)])[:, None]
    residual = Residual.of(images, Inpainting(known), seen, 0.01, None)
    torch.testing.assert_close(residual.rms, torch.tensor([0.0, 0.3]))
    assert residual.poor.tolist() == [False, True]


def test_what_the_codec_loses_is_expected() -> None:
    seen = torch.full((1, 1, 4, 4), 0.4)
    plain = Residual.of(seen, Downsampling(1), seen, 0.03, None)
    latent = Residual.of(seen, Downsampling(1), seen, 0.03, Rounded(1.0))  # type: ignore[arg-type]
    torch.testing.assert_close(plain.expected, torch.tensor([0.03]))
    torch.testing.assert_close(latent.expected, torch.tensor([(0.03**2 + 0.4**2) ** 0.5]))


@pytest.mark.parametrize(
    ("rms", "expected", "poor"),
    [(0.03, 0.01, False), (0.16, 0.05, True), (0.09, 0.05, False), (0.21, 0.2, False), (float("nan"), 0.2, True)],
)
def test_poor_is_far_above_what_is_expected(rms: float, expected: float, poor: bool) -> None:
    assert bool(Residual(torch.tensor([rms]), torch.tensor([expected])).poor) is poor


def test_the_poor_versions_are_named_by_their_seeds_in_one_line() -> None:
    parts = [Residual(torch.tensor([0.02, 0.5]), torch.full((2,), 0.01)), Residual(torch.tensor([0.01]), torch.ones(1))]
    whole = joined(parts)
    assert whole is not None
    assert joined([None, None]) is None
    summary = whole.summary([4, 5, 6])
    assert summary["residual"] == [0.02, 0.5, 0.01]
    assert summary["poor"] == [5]
    line = warning(summary, "try again")
    assert line is not None
    assert "seeds [5] disagree with the picture (residual up to 0.500" in line
    assert line.endswith("try again")
    assert warning({**summary, "poor": []}, "try again") is None
    every = warning({**summary, "poor": [4, 5, 6]}, "try again")
    assert every is not None
    assert "every version disagrees" in every


def test_what_no_image_explains_is_the_distance_from_what_the_operator_can_show() -> None:
    """Half of each pair of box means is out of reach: means of 1.5 of images of at most 1 miss 0.5."""
    seen = torch.tensor([1.5, 0.3, -0.3, -1.5]).view(1, 1, 2, 2)
    assert unexplained(Downsampling(2), seen) == pytest.approx((2 * 0.5**2 / 4) ** 0.5, abs=1e-5)
    assert unexplained(Downsampling(2), seen / 2) == pytest.approx(0, abs=1e-6)


def test_a_blurred_picture_is_explained_by_its_own_blur_and_a_sharp_one_is_not() -> None:
    sharp = torch.full((1, 1, 16, 16), 0.5)
    sharp[..., ::4] = -0.5
    blurred = Blur(1.5).forward(sharp)
    assert unexplained(Blur(1.5), blurred) < 0.01
    assert unexplained(Blur(1.5), sharp) > 0.3
