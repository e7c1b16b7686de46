"""Guidance: pushing a diffusion model towards a class, two ways that are one.

By Bayes, grad log p(x_t | c) = grad log p(x_t) + grad log p(c | x_t). Guidance multiplies the last term by w:

* classifier guidance differentiates a classifier of noisy pictures (Dhariwal and Nichol 2021, equation 14 and
  algorithm 2; the scale there multiplies the gradient):  eps_w = eps(x_t) - w sigma_t grad log p(c | x_t);
* classifier-free guidance takes the difference of two denoisers (Ho and Salimans 2022, equation 6, where the scale is
  w - 1):  eps_w = eps(x_t) + w (eps(x_t, c) - eps(x_t)).

With exact models the two are the same function for every w; w = 0 is the unconditional model and w = 1 the truly
conditional one. Nothing is trained here: the data are a mixture of Gaussians on a line, whose scores are known, the
classifier's gradient comes from autograd through Bayes' rule, and the samples face the closed forms.

What w > 1 draws is not p(x | c) and, although it is often said, not p(x) p(c | x)^w either (Bradley and Nakkiran 2024):
noising and raising to a power do not commute. The last lines measure by how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

MEANS = torch.tensor([-1.0, 1.0], dtype=torch.float64)  # one Gaussian per class; they overlap
STDS = torch.tensor([1.0, 0.7], dtype=torch.float64)
PRIOR = torch.tensor([0.6, 0.4], dtype=torch.float64)
CLASS = 1
Eps = Callable[[Tensor, float], Tensor]


def alpha_sigma(t: float) -> tuple[float, float]:
    """The cosine path, alpha^2 + sigma^2 = 1, t in [0, 1]: x_t = alpha x_0 + sigma eps (Salimans and Ho 2022)."""
    return math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)


def log_joint(x_t: Tensor, t: float) -> Tensor:
    """log p(x_t, c), (B, classes): class c of x_t is N(alpha m_c, alpha^2 s_c^2 + sigma^2)."""
    alpha, sigma = alpha_sigma(t)
    var = alpha**2 * STDS.square() + sigma**2
    return PRIOR.log() - 0.5 * ((x_t[:, None] - alpha * MEANS).square() / var + (2 * math.pi * var).log())


def log_classifier(x_t: Tensor, t: float) -> Tensor:
    """log p(c | x_t) by Bayes' rule, (B, classes): the best classifier of noisy data."""
    return torch.log_softmax(log_joint(x_t, t), dim=1)


def eps_conditional(x_t: Tensor, t: float) -> Tensor:
    """eps = -sigma grad log p(x_t | c), the closed form for one Gaussian."""
    alpha, sigma = alpha_sigma(t)
    return sigma * (x_t - alpha * MEANS[CLASS]) / (alpha**2 * STDS[CLASS] ** 2 + sigma**2)


def eps_unconditional(x_t: Tensor, t: float) -> Tensor:
    """eps = -sigma grad log p(x_t): the classes' answers, each weighted with p(c | x_t)."""
    alpha, sigma = alpha_sigma(t)
    each = sigma * (x_t[:, None] - alpha * MEANS) / (alpha**2 * STDS.square() + sigma**2)
    return (log_classifier(x_t, t).exp() * each).sum(1)


def classifier_guidance(w: float) -> Eps:
    """eps(x_t) - w sigma grad log p(c | x_t), with autograd's gradient."""

    def eps(x_t: Tensor, t: float) -> Tensor:
        x_t = x_t.detach().requires_grad_()
        gradient = torch.autograd.grad(log_classifier(x_t, t)[:, CLASS].sum(), x_t)[0]
        return eps_unconditional(x_t.detach(), t) - w * alpha_sigma(t)[1] * gradient

    return eps


def classifier_free_guidance(w: float) -> Eps:
    """eps(x_t) + w (eps(x_t, c) - eps(x_t))."""

    def eps(x_t: Tensor, t: float) -> Tensor:
        unconditional = eps_unconditional(x_t, t)
        return unconditional + w * (eps_conditional(x_t, t) - unconditional)

    return eps


def ddim(eps_model: Eps, x: Tensor, steps: int) -> Tensor:
    """x_s = alpha_s x_0 + sigma_s eps, x_0 = (x_t - sigma_t eps) / alpha_t (Song et al. 2021a, equation 12)."""
    times = [0.999 * (1 - i / steps) for i in range(steps + 1)]
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma(t), alpha_sigma(s)
        eps = eps_model(x, t)
        x = alpha_s * (x - sigma_t * eps) / alpha_t + sigma_s * eps
    return x


def tilted_moments(w: float) -> tuple[float, float]:
    """Mean and standard deviation of p(x) p(c | x)^w / Z, by quadrature on a grid."""
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    log_density = torch.logsumexp(log_joint(x, 0.0), dim=1) + w * log_classifier(x, 0.0)[:, CLASS]
    p = torch.softmax(log_density, dim=0)
    mean = (p * x).sum()
    return mean.item(), (p * (x - mean).square()).sum().sqrt().item()


def largest_disagreement(w: float, x_t: Tensor) -> float:
    """max |classifier guidance - classifier-free guidance| over points and times."""
    pair = classifier_guidance(w), classifier_free_guidance(w)
    return max((pair[0](x_t, t) - pair[1](x_t, t)).abs().max().item() for t in (0.05, 0.3, 0.6, 0.9))


def main(n: int = 2000, steps: int = 400) -> dict[str, float]:
    """Compare the two guidances, then sample with w = 0, 1 and 3 and compare with the closed forms."""
    noise = torch.special.ndtri(
        (torch.arange(n, dtype=torch.float64) + 0.5) / n
    )  # quantiles: nothing is left to chance
    facts = {"disagreement": max(largest_disagreement(w, 2 * noise) for w in (0.0, 1.0, 3.0, 7.5))}
    truly_conditional = eps_conditional(noise, 0.5)
    facts["conditional_gap"] = (classifier_guidance(1.0)(noise, 0.5) - truly_conditional).abs().max().item()
    print(f"classifier and classifier-free guidance differ by at most {facts['disagreement']:.1e} (w = 0, 1, 3, 7.5)")
    print(f"at w = 1 classifier guidance and the conditional model differ by {facts['conditional_gap']:.1e}")
    print("   w   sampled mean, std    p(x) p(c|x)^w mean, std   mean p(c | x)")
    for w in (0.0, 1.0, 3.0):
        x_0 = ddim(classifier_free_guidance(w), noise, steps)
        mean, std = tilted_moments(w)
        certainty = log_classifier(x_0, 0.0)[:, CLASS].exp().mean().item()
        facts |= {f"mean_{w:g}": x_0.mean().item(), f"std_{w:g}": x_0.std().item(), f"certainty_{w:g}": certainty}
        facts |= {f"tilted_mean_{w:g}": mean, f"tilted_std_{w:g}": std}
        print(f"{w:4.0f}   {x_0.mean():8.3f}, {x_0.std():6.3f}    {mean:12.3f}, {std:6.3f}   {certainty:16.3f}")
    return facts


if __name__ == "__main__":
    main()
