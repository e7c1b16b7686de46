"""The variational autoencoder: a bound on the likelihood, and how loose it is.

A VAE draws z ~ N(0, 1), then x ~ p(x | z) = N(decoder(z), s^2). Its likelihood p(x) = integral p(z) p(x | z) dz has no
closed form, so an encoder q(z | x) is trained with it to maximise (Kingma and Welling 2014, equation 3)

    ELBO(x) = E_q[log p(x | z)] - KL(q(z | x) || p(z)) = log p(x) - KL(q(z | x) || p(z | x)) <= log p(x).

Averaging k importance weights inside the logarithm tightens it (Burda et al. 2016, equation 8):

    IW_k(x) = E[log 1/k sum_i p(x, z_i) / q(z_i | x)],    ELBO = IW_1 <= IW_2 <= ... -> log p(x).

Here the latent is one number, so p(x) is an integral over a line, which a fine grid of z does exactly. The data are a
mixture of Gaussians, whose own log-density is the ceiling that no model's average can pass (Gibbs).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

LOG_2PI = math.log(2 * math.pi)
MEANS = torch.tensor([[-2.0, 0.0], [-1.0, 1.0], [0.0, 0.0], [1.0, -1.0], [2.0, 0.0]])  # five clouds along a wave
STD = 0.25


def draw_data(n: int, generator: Generator) -> Tensor:
    """n points (n, 2) of the mixture."""
    which = torch.randint(len(MEANS), (n,), generator=generator)
    return MEANS[which] + STD * torch.randn(n, 2, generator=generator)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log N(x; mean, std^2), summed over the last axis."""
    return -0.5 * (((x - mean) / log_std.exp()).square() + 2 * log_std + LOG_2PI).sum(-1)


def data_log_prob(x: Tensor) -> Tensor:
    """log of the mixture's density."""
    each = gaussian_log_prob(x[:, None], MEANS, torch.tensor(STD).log())
    return torch.logsumexp(each, dim=1) - math.log(len(MEANS))


def mlp(sizes: tuple[int, ...], generator: Generator) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class VAE(nn.Module):
    """One latent; a diagonal Gaussian encoder; a decoder with one learned standard deviation."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.encoder = mlp((2, 64, 64, 2), generator)
        self.decoder = mlp((1, 64, 64, 2), generator)
        self.log_s = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z | x), each (B, 1)."""
        mean, log_std = self.encoder(x).chunk(2, dim=-1)
        return mean, log_std

    def likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z)."""
        return gaussian_log_prob(x, self.decoder(z), self.log_s)


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) = 1/2 sum (mean^2 + std^2 - 1 - log std^2) (their appendix B)."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)


def elbo(vae: VAE, x: Tensor, generator: Generator) -> Tensor:
    """One draw z = mean + std eps (the reparametrization trick) for the first term, the closed form for the second."""
    mean, log_std = vae.posterior(x)
    z = mean + log_std.exp() * torch.randn(mean.shape, generator=generator)
    return vae.likelihood(x, z) - kl_to_standard_normal(mean, log_std)


def importance_bound(vae: VAE, x: Tensor, k: int, generator: Generator) -> Tensor:
    """IW_k(x), one draw of k latents for each row."""
    mean, log_std = (each[:, None].expand(-1, k, -1) for each in vae.posterior(x))
    z = mean + log_std.exp() * torch.randn(mean.shape, generator=generator)
    prior = gaussian_log_prob(z, torch.zeros(()), torch.zeros(()))
    log_weight = vae.likelihood(x[:, None], z) + prior - gaussian_log_prob(z, mean, log_std)
    return torch.logsumexp(log_weight, dim=1) - math.log(k)


def on_the_grid(vae: VAE, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By quadrature over z: log p(x), the KL of q from the prior, and the KL of q from the true posterior."""
    z = torch.linspace(-8, 8, 4001)[:, None]
    log_dz = math.log(16 / 4000)
    prior = gaussian_log_prob(z, torch.zeros(()), torch.zeros(()))
    joint = vae.likelihood(x[:, None], z) + prior
    evidence = torch.logsumexp(joint, dim=1) + log_dz
    mean, log_std = vae.posterior(x)
    log_q = gaussian_log_prob(z, mean[:, None], log_std[:, None])
    q_dz = (log_q + log_dz).exp()
    return evidence, (q_dz * (log_q - prior)).sum(1), (q_dz * (log_q - joint + evidence[:, None])).sum(1)


def main(steps: int = 4000, seed: int = 0) -> dict[str, float]:
    """Train, then compare the bounds with the integral; everything in nats, averaged over 1000 points."""
    generator = torch.Generator().manual_seed(seed)
    vae = VAE(generator)
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = -elbo(vae, draw_data(256, generator), generator).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()

    x = draw_data(1000, generator)
    with torch.no_grad():
        evidence, kl_prior, kl_posterior = on_the_grid(vae, x)
        closed_kl = kl_to_standard_normal(*vae.posterior(x))
        facts = {f"iw_{k}": importance_bound(vae, x.repeat(400 // k, 1), k, generator).mean().item() for k in (5, 50)}
        facts |= {
            "elbo": elbo(vae, x.repeat(400, 1), generator).mean().item(),
            "log_likelihood": evidence.mean().item(),
            "ceiling": data_log_prob(x).mean().item(),
            "posterior_kl": kl_posterior.mean().item(),
            "kl_error": (closed_kl - kl_prior).abs().max().item(),
        }
    bounds = [f"{facts[name]:.4f}" for name in ("elbo", "iw_5", "iw_50", "log_likelihood", "ceiling")]
    print("ELBO <= IW_5 <= IW_50 <= log p(x) <= the data's own, nats per point:", " <= ".join(bounds))
    gap = facts["log_likelihood"] - facts["elbo"]
    print(f"log p - ELBO = {gap:.4f}, KL(q || p(z | x)) = {facts['posterior_kl']:.4f} by quadrature")
    print(f"KL(q || N(0, 1)): closed form and integral differ by at most {facts['kl_error']:.1e}")
    return facts


if __name__ == "__main__":
    main()
