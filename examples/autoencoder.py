"""Autoencoders: squeeze a picture through a bottleneck, or clean a noisy one.

An autoencoder is trained to answer with its own input, x -> z -> x_hat, and learns something only because z is too
small to carry everything. A denoising autoencoder is given x_0 + sigma eps and must answer x_0. Both have a known best
answer, and this script trains towards it on 8x8 digits that it draws itself:

1. With linear layers and k latents the best autoencoder is PCA, whose error is the sum of the discarded eigenvalues of
   the covariance (Baldi and Hornik 1989). A curved one of the same width may do better.
2. The best denoiser is the posterior mean E[x_0 | x_t]. For N equally likely pictures it is a softmax over distances.
3. The denoiser knows the score: (E[x_0 | x_t] - x_t) / sigma^2 = grad log p_sigma(x_t) (Robbins 1956, Miyasawa 1961,
   as "Tweedie's formula"; Vincent 2011; Alain and Bengio 2014, theorem 1). Diffusion models begin at this line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import torch
from torch import Generator, Tensor, nn

FONT = [  # the digits 0..9, five rows of three dots each
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001010010010",
    "111101111101111",
    "111101111001111",
]


def drawn_digits() -> Tensor:
    """All ten digits at all 4 x 6 places of an 8x8 canvas: (240, 64) in [-1, 1]."""
    images = torch.full((10, 4, 6, 8, 8), -1.0)
    for digit, dots in enumerate(FONT):
        glyph = torch.tensor([2.0 * int(dot) - 1.0 for dot in dots]).reshape(5, 3)
        for row in range(4):
            for column in range(6):
                images[digit, row, column, row : row + 5, column : column + 3] = glyph
    return images.reshape(-1, 64)


def mlp(sizes: tuple[int, ...], generator: Generator) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def fit(model: nn.Module, pairs: Iterator[tuple[Tensor, Tensor]], steps: int, lr: float) -> None:
    """Minimise |model(input) - target|^2 with Adam and a learning rate that falls to zero."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for given, wanted in islice(pairs, steps):
        loss = (model(given) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()


def clean_pairs(x_0: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The autoencoder's exercise: the answer is the question."""
    while True:
        yield x_0, x_0


def noisy_pairs(x_0: Tensor, sigma: float, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """The denoising autoencoder's exercise: x_t = x_0 + sigma eps, and x_0 is wanted."""
    while True:
        yield x_0 + sigma * torch.randn(x_0.shape, generator=generator), x_0


def pca_error(x: Tensor, k: int) -> float:
    """Mean square error per pixel of the best k-dimensional affine subspace: the 64 - k smallest eigenvalues."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))  # ascending
    return (eigenvalues[:-k].sum() / x.shape[1]).item()


def posterior_mean(x_t: Tensor, x_0: Tensor, sigma: float) -> Tensor:
    """E[x_0 | x_t] = sum_i softmax_i(-|x_t - x_i|^2 / (2 sigma^2)) x_i, for pictures x_i that are equally likely."""
    return torch.softmax(-torch.cdist(x_t, x_0).square() / (2 * sigma**2), dim=1) @ x_0


def score(x_t: Tensor, x_0: Tensor, sigma: float) -> Tensor:
    """grad log p_sigma(x_t), by autograd through log sum_i exp(-|x_t - x_i|^2 / (2 sigma^2))."""
    x_t = x_t.clone().requires_grad_()
    square = (x_t[:, None] - x_0[None]).square().sum(-1)
    return torch.autograd.grad(torch.logsumexp(-square / (2 * sigma**2), dim=1).sum(), x_t)[0]


def mse(a: Tensor, b: Tensor) -> float:
    return (a - b).square().mean().item()


def main(steps: int = 4000, k: int = 8, sigma: float = 1.5, seed: int = 0) -> dict[str, float]:
    """Train a linear, a curved and a denoising autoencoder; errors are per pixel, pixels in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    x_0 = drawn_digits()

    linear = nn.Sequential(mlp((64, k), generator), mlp((k, 64), generator))
    fit(linear, clean_pairs(x_0), steps, lr=1e-2)
    curved = nn.Sequential(mlp((64, 128, k), generator), mlp((k, 128, 64), generator))
    fit(curved, clean_pairs(x_0), steps, lr=3e-3)
    denoiser = mlp((64, 256, 256, 64), generator)
    fit(denoiser, noisy_pairs(x_0, sigma, generator), steps, lr=1e-3)

    fresh = x_0.repeat(8, 1)
    x_t = fresh + sigma * torch.randn(fresh.shape, generator=generator)
    best = posterior_mean(x_t, x_0, sigma)
    exact_score = score(x_t, x_0, sigma)
    with torch.no_grad():
        learned = denoiser(x_t)
        facts = {
            "pca_error": pca_error(x_0, k),
            "linear_error": mse(linear(x_0), x_0),
            "curved_error": mse(curved(x_0), x_0),
            "bayes_error": mse(best, fresh),
            "denoiser_error": mse(learned, fresh),
            "mean_picture_error": mse(x_0.mean(0).expand_as(fresh), fresh),
            "tweedie_gap": ((best - x_t) / sigma**2 - exact_score).abs().max().item(),
            "score_cosine": torch.cosine_similarity((learned - x_t) / sigma**2, exact_score).mean().item(),
        }
    print(f"240 drawn digits, {k} latents: squared error per pixel")
    print(
        f"  PCA {facts['pca_error']:.4f} (closed form), linear autoencoder {facts['linear_error']:.4f}, "
        f"curved autoencoder {facts['curved_error']:.4f}"
    )
    print(f"denoising at sigma = {sigma}: the noisy picture itself has error {sigma**2:.2f}")
    print(
        f"  mean picture {facts['mean_picture_error']:.4f}, denoising autoencoder {facts['denoiser_error']:.4f}, "
        f"best possible {facts['bayes_error']:.4f}"
    )
    print(f"  (denoised - x_t) / sigma^2 against the exact score: cosine {facts['score_cosine']:.4f}")
    return facts


if __name__ == "__main__":
    main()
