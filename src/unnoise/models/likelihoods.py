"""p(x | z): what a decoder's output says about the pixels, as a table."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.host import sent
from unnoise.process.gaussian import gaussian_log_prob
from unnoise.seeding import Noise

SMALLEST_LOG_SCALE = -7.0
"""About a hundredth of the distance between two levels: no pixel is known better."""


class Likelihood(nn.Module, ABC):
    """A distribution of images (B, C, H, W), given a decoder's output of `outputs` times as many channels.

    of: what has the probability, 'levels' (the 256 of each pixel), 'density' (of dequantised pixels on [-1, 1], see
    `metrics.likelihood.density_bits`) or 'binary' (black or white).
    """

    outputs: int = 1
    of: str

    @abstractmethod
    def target(self, image: Tensor, noise: Noise) -> Tensor:
        """The random variable that is explained, from images in [-1, 1]: as they are, dequantised or binarised."""

    @abstractmethod
    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) (B,) in nats per image, of what `target` gave."""

    @abstractmethod
    def mean(self, output: Tensor, clamp: bool = True) -> Tensor:
        """The expected image (B, C, H, W) in [-1, 1]. clamp: where it would not be in that range by itself."""

    @abstractmethod
    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        """x ~ p(x | z) (B, C, H, W), in [-1, 1]: each pixel on its own, so it is as grainy as the decoder is unsure."""


class Bernoulli(Likelihood):
    """Black or white pixels, -1 or 1: p(1) = sigmoid(output).

    A grey image is a table of probabilities: each look at it draws black or white anew, 1 with probability (x + 1) / 2
    (dynamic binarisation, Salakhutdinov & Murray 2008). Images that are black and white already stay as they are.
    """

    of = "binary"

    def target(self, image: Tensor, noise: Noise) -> Tensor:
        threshold = _sent(1 - _uniform(image, noise), image)  # in (0, 1]: black stays black and white white
        return torch.where((image + 1) / 2 >= threshold, 1.0, -1.0).to(image.dtype)

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        return F.logsigmoid(x * output).flatten(1).sum(1)

    def mean(self, output: Tensor, clamp: bool = True) -> Tensor:
        return output.sigmoid() * 2 - 1

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        return torch.where(_sent(_uniform(output, noise), output) < output.sigmoid(), 1.0, -1.0).to(output.dtype)


class Gaussian(Likelihood):
    """N(x; output, s^2), s learned, one for all pixels (sigma-VAE: Rybkin et al. 2021).

    With s fixed this would be the squared error with a weight somebody has to choose. Pixels are dequantised by
    uniform noise of one level's width, so that the density cannot grow without bound (Theis et al. 2016).
    """

    of = "density"

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def target(self, image: Tensor, noise: Noise) -> Tensor:
        return _dequantised(image, noise)

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        return gaussian_log_prob(x, output, 2 * self._log_scale()).flatten(1).sum(1)

    def mean(self, output: Tensor, clamp: bool = True) -> Tensor:
        return output.clamp(-1, 1) if clamp else output

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        return (output + self._log_scale().exp() * noise.normal(output)).clamp(-1, 1)

    def _log_scale(self) -> Tensor:
        return self.log_scale.clamp(min=SMALLEST_LOG_SCALE)


class DiagonalGaussian(Likelihood):
    """N(x; mean, s^2), mean and log s of every pixel from the decoder: the output's first and second half.

    What the decoder is not sure of, such as edges, gets a large s and costs little (Kingma & Welling 2014, appendix C).
    Pixels are dequantised as by `Gaussian`.
    """

    of = "density"
    outputs = 2

    def target(self, image: Tensor, noise: Noise) -> Tensor:
        return _dequantised(image, noise)

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        mean, log_scale = _halves(output)
        return gaussian_log_prob(x, mean, 2 * log_scale).flatten(1).sum(1)

    def mean(self, output: Tensor, clamp: bool = True) -> Tensor:
        mean, _ = _halves(output)
        return mean.clamp(-1, 1) if clamp else mean

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        mean, log_scale = _halves(output)
        return (mean + log_scale.exp() * noise.normal(mean)).clamp(-1, 1)


class DiscretisedLogistic(Likelihood):
    """The mass that a logistic distribution gives to each pixel's bucket of width 2/255, open at -1 and at 1.

    The output's first half is the mean, its second half log s (Kingma et al. 2016, section 6.2; Salimans et al. 2017).
    """

    of = "levels"
    outputs = 2

    def target(self, image: Tensor, noise: Noise) -> Tensor:
        return image

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        return discretised_logistic(x, *_halves(output)).flatten(1).sum(1)

    def mean(self, output: Tensor, clamp: bool = True) -> Tensor:
        mean, log_scale = _halves(output)
        return clipped_logistic_mean(mean, log_scale.exp()).clamp(-1, 1)  # rounding

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        """The nearest level to a draw of the logistic by the inverse of its distribution function."""
        mean, log_scale = _halves(output)
        u = _sent(_uniform(mean, noise).clamp(1e-12), mean)
        drawn = (mean + log_scale.exp() * torch.special.logit(u, eps=1e-7)).clamp(-1, 1)
        return ((drawn + 1) * 127.5).round() / 127.5 - 1


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "diagonal-gaussian": DiagonalGaussian,
    "discretised-logistic": DiscretisedLogistic,
}


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log(F(x + 1/255) - F(x - 1/255)), F the logistic distribution function, elementwise, in nats.

    With a, b the scaled ends of the bucket, F(b) - F(a) = (1 - exp(a - b)) sigmoid(b) sigmoid(-a), which cancels
    nowhere; the open buckets at -1 and at 1 are sigmoid(b) and sigmoid(-a).
    """
    a, b = ((x - mean + side / 255) * torch.exp(-log_scale) for side in (-1, 1))
    above, below = F.logsigmoid(b), F.logsigmoid(-a)
    width = torch.exp(-log_scale) * (2 / 255)
    inside = torch.log(-torch.expm1(-width)) + above + below
    return torch.where(x < -0.999, above, torch.where(x > 0.999, below, inside))


def clipped_logistic_mean(mean: Tensor, scale: Tensor) -> Tensor:
    """E[min(1, max(-1, X))] of a logistic X: -1 plus the integral of P(X > t) over [-1, 1].

    = -1 + s softplus((mean + 1) / s) - s softplus((mean - 1) / s). A mean far outside [-1, 1] need not be white or
    black: with a large scale it says only that one of the two is likelier.
    """
    return scale * (F.softplus((mean + 1) / scale) - F.softplus((mean - 1) / scale)) - 1


def _halves(output: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log scale, of an output with twice the image's channels."""
    mean, log_scale = output.chunk(2, dim=1)
    return mean, log_scale.clamp(min=SMALLEST_LOG_SCALE)


def _dequantised(image: Tensor, noise: Noise) -> Tensor:
    """Uniform within each pixel's level."""
    return image + _sent((2 * _uniform(image, noise) - 1) / 255, image)


def _uniform(like: Tensor, noise: Noise) -> Tensor:
    """A number in [0, 1) for each of `like`'s, before it is rounded to `like`'s dtype."""
    return noise.uniform(like.numel()).reshape(like.shape)


def _sent(values: Tensor, like: Tensor) -> Tensor:
    return sent(values, like.device, like.dtype)
