# %% [markdown]
# # 2. DDPM from scratch, term by term
#
# Fifty lines of PyTorch on 8x8 digits, then every term of the bound measured. Nothing here comes from the library
# except the pictures, and the closed forms that the terms are checked with at the end.

# %%
import math
import os

import matplotlib.pyplot as plt
import torch
from torch import nn

import unnoise
from unnoise.data import image_grid

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
STEPS = 30 if SHORT else 6000

digits = unnoise.open_source("digits", progress=False)
data = digits.batch(range(len(digits))).image.flatten(1)  # (N, 64) in [-1, 1]
generator = torch.Generator().manual_seed(0)
torch.manual_seed(0)
image_grid(data[:16].view(-1, 1, 8, 8), columns=8)

# %% [markdown]
# ## The process
# $\beta_t$ from 0.0001 to 0.02, $\bar\alpha_t = \prod (1 - \beta_i)$. Entry $t$ belongs to step $t$; $\bar\alpha_0 = 1$.

# %%
T = 1000
beta = torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, T)])
alpha_bar = (1 - beta).cumprod(0)


def noised(x_0, eps, t):
    """x_t of rows x_0 (B, 64) at times t (B,)."""
    return alpha_bar[t, None].sqrt() * x_0 + (1 - alpha_bar[t, None]).sqrt() * eps


# %% [markdown]
# ## The network
# It sees $x_t$ and $t$, and answers the noise. A plain multilayer perceptron will do for 64 pixels.


# %%
class Network(nn.Module):
    def __init__(self, width=384):
        super().__init__()
        self.frequencies = nn.Parameter(torch.exp(torch.linspace(0, math.log(1000), 32)) / T, requires_grad=False)
        self.first = nn.Linear(64 + 64, width)
        self.middle = nn.ModuleList(nn.Linear(width + 64, width) for _ in range(2))
        self.last = nn.Linear(width, 64)

    def forward(self, x, t):
        angles = t[:, None] * self.frequencies
        time = torch.cat([angles.sin(), angles.cos()], 1)
        h = self.first(torch.cat([x, time], 1)).relu()
        for layer in self.middle:
            h = h + layer(torch.cat([h, time], 1)).relu()
        return self.last(h)


network = Network()

# %% [markdown]
# ## Algorithm 1: training
# $L_{simple} = \mathbb{E}\, \|\epsilon - \epsilon_\theta(x_t, t)\|^2$: draw an image, a time and a noise, and ask which
# noise it was.

# %%
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
losses = []
for _ in range(STEPS):
    x_0 = data[torch.randint(len(data), (128,), generator=generator)]
    t = torch.randint(1, T + 1, (128,), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    loss = (eps - network(noised(x_0, eps, t), t)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
print(f"L_simple of the last {len(losses[-500:])} steps: {sum(losses[-500:]) / len(losses[-500:]):.3f}")

# %% [markdown]
# ## Algorithm 2: sampling
# $x_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}} \epsilon_\theta \right) + \sigma_t z$,
# a thousand times.


# %%
@torch.no_grad()
def sample(count):
    x = torch.randn(count, 64, generator=generator)
    for t in range(T, 0, -1):
        eps = network(x, torch.full((count,), t))
        x = (x - beta[t] / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
        if t > 1:
            x = x + beta[t].sqrt() * torch.randn(x.shape, generator=generator)
    return x


image_grid(sample(32).view(-1, 1, 8, 8), columns=8)

# %% [markdown]
# ## The bound, term by term
# $-\log p(x_0) \le L_T + \sum_{t > 1} L_{t-1} + L_0$, with
# $L_{t-1} = \mathrm{KL}(q(x_{t-1} | x_t, x_0) \| p(x_{t-1} | x_t))$. Both are Gaussians; with $\sigma_t^2 = \beta_t$:


# %%
@torch.no_grad()
def bound_term(t, x_0):
    """L_{t-1} in nats per pixel, t > 1."""
    eps = torch.randn(x_0.shape, generator=generator)
    guess = network(noised(x_0, eps, torch.full((len(x_0),), t)), torch.full((len(x_0),), t))
    tilde = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
    weight = beta[t] ** 2 / ((1 - beta[t]) * (1 - alpha_bar[t]))  # of an error of eps in the mean
    squares = weight * (eps - guess).square().mean() / beta[t]
    return float(0.5 * (squares + tilde / beta[t] - 1 - (tilde / beta[t]).log()))


held_out = unnoise.open_source("digits", split="test", progress=False).batch(range(64)).image.flatten(1)
times = range(2, T + 1, 100 if SHORT else 10)
terms = [bound_term(t, held_out) for t in times]
prior = 0.5 * (alpha_bar[T] * held_out.square().mean() - alpha_bar[T] - (1 - alpha_bar[T]).log())
print(f"L_T                    {float(prior) / math.log(2):.5f} bits/dim: nothing is left of the image")
print(f"sum of the L_(t-1)     {sum(terms) / len(terms) * (T - 1) / math.log(2):.2f} bits/dim")

figure, axes = plt.subplots(figsize=(6, 3))
axes.loglog(times, terms)
axes.set(xlabel="t", ylabel=r"$L_{t-1}$, nats per pixel")
figure.tight_layout()

# %% [markdown]
# Almost all of the bits are spent at small t, on detail that nobody sees. $L_{simple}$ forgets the weights
# $\beta_t^2 / (2 \sigma_t^2 (1 - \beta_t)(1 - \bar\alpha_t))$ and so looks harder where pictures take shape.
#
# ## The same, by the library

# %%
from unnoise.process.gaussian import transition

library = unnoise.LinearBetas()
print("alpha_bar", bool(torch.allclose(library.alpha_bar.float(), alpha_bar[1:], atol=1e-6)))
print("beta_300 ", float(transition(library, 300, 299)[1]), float(beta[300]))

# %% [markdown]
# ## Exercises
#
# 1. Sample in 20 steps instead of 1000, by DDIM: $x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s}\, \epsilon_\theta$.
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def ddim(count, steps=20):
#     x = torch.randn(count, 64, generator=generator)
#     times = torch.linspace(T, 0, steps + 1).long().tolist()
#     for t, s in zip(times, times[1:]):
#         eps = network(x, torch.full((count,), t))
#         x_0 = (x - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()
#         x = alpha_bar[s].sqrt() * x_0 + (1 - alpha_bar[s]).sqrt() * eps
#     return x
# ```
#
# </details>
#
# 2. Use $\tilde\beta_t$ for the variance instead of $\beta_t$. Which samples are smoother, and why?
#
# <details><summary>Solution</summary>
#
# Replace `beta[t].sqrt()` by `((1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]).sqrt()`. Less noise is added at the
# last steps, where the two differ, so the samples are smoother. beta is right if x_0 is pure noise, beta-tilde if x_0 is
# a single known image; data lie between.
#
# </details>
