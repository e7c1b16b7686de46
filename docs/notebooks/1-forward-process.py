# %% [markdown]
# # 1. The forward process and its schedules
#
# A diffusion model learns to undo a process that needs no learning: noise takes over a picture, a little at a time.
# $$q(x_t \mid x_0) = N(\alpha_t x_0,\ \sigma_t^2 I), \qquad x_t = \alpha_t x_0 + \sigma_t \epsilon$$
# $t$ runs from 0 (clean) to $t_{max}$ (noise). A **schedule** is the pair of functions $\alpha_t, \sigma_t$.

# %%
import matplotlib.pyplot as plt
import torch

import unnoise
from unnoise.data import image_grid
from unnoise.lectures.divergences import divergences
from unnoise.lectures.marginals import marginals
from unnoise.lectures.schedules import schedules
from unnoise.process.gaussian import perturb, posterior, transition

digits = unnoise.open_source("digits", progress=False)
x_0 = digits.batch(range(128)).image
image_grid(x_0[:8], columns=8)

# %% [markdown]
# ## One step, many steps
#
# DDPM adds noise in $T = 1000$ steps, $q(x_t \mid x_{t-1}) = N(\sqrt{1 - \beta_t}\, x_{t-1}, \beta_t I)$. Gaussians of
# Gaussians are Gaussians, so the steps can be jumped over: $\alpha_t^2 = \bar\alpha_t = \prod_{i \le t} (1 - \beta_i)$.

# %%
schedule = unnoise.LinearBetas()
noise = torch.Generator().manual_seed(0)

x = x_0
for t in range(1, 301):  # 300 small steps
    factor, variance = transition(schedule, t, t - 1)
    x = factor.float() * x + variance.sqrt().float() * torch.randn(x.shape, generator=noise)
jumped = perturb(schedule, x_0, torch.randn(x.shape, generator=noise), 300)  # one jump

print(f"noise after 300 steps {float((x - schedule.alpha(300).float() * x_0).std()):.3f}")
print(f"noise after one jump  {float((jumped - schedule.alpha(300).float() * x_0).std()):.3f}")
print(f"sigma_300             {float(schedule.sigma(300)):.3f}")
image_grid(torch.cat([x[:8], jumped[:8]]), columns=8)

# %% [markdown]
# ## Every schedule is a way through the same signal-to-noise ratios
#
# All schedules pass from much signal to much noise; they differ in how long they stay where. `unnoise show schedules`
# draws this figure.

# %%
schedules()

# %%
columns = []
for name, schedule in {"linear": unnoise.LinearBetas(), "cosine": unnoise.CosineBetas()}.items():
    t = torch.linspace(0, 1000, 8).double()
    eps = torch.randn(x_0[:1].shape, generator=torch.Generator().manual_seed(1)).expand(8, -1, -1, -1)
    columns.append(perturb(schedule, x_0[:1].expand(8, -1, -1, -1), eps, t))
    print(f"{name:8} half of the variance is noise at t = {float(schedule.t(0.0)):.0f}")
image_grid(torch.cat(columns), columns=8)

# %% [markdown]
# ## Distributions, not pictures
#
# The process acts on a *distribution*. For a mixture of Gaussians everything is known in closed form: the marginals
# $q(x_t)$ and their **score** $\nabla \log q(x_t)$, the field that points to where the data are.

# %%
marginals()

# %% [markdown]
# ## Looking back: the posterior
#
# If $x_0$ is known, the step back is Gaussian too: $q(x_{t-1} \mid x_t, x_0) = N(\tilde\mu_t, \tilde\beta_t)$. A model
# that guesses $x_0$ can walk back by it. Its variance is a little smaller than $\beta_t$:

# %%
schedule = unnoise.LinearBetas()
t = torch.arange(2, 1001).double()
ratio = posterior(schedule, t, t - 1).var / transition(schedule, t, t - 1)[1]
figure, axes = plt.subplots(figsize=(6, 3))
axes.semilogx(t, ratio)
axes.set(xlabel="t", ylabel=r"$\tilde\beta_t / \beta_t$")
figure.tight_layout()

# %% [markdown]
# ## How far apart are two distributions?
#
# Training compares distributions. KL grows without bound, Jensen-Shannon stands still at log 2 as soon as the two no
# longer overlap, and only the Wasserstein distance still says which way to go.

# %%
divergences()

# %% [markdown]
# ## Exercises
#
# 1. How many of the 1000 linear steps are spent at a signal-to-noise ratio below 1/100? And of the cosine ones?
#
# <details><summary>Solution</summary>
#
# ```python
# for schedule in (unnoise.LinearBetas(), unnoise.CosineBetas()):
#     t = torch.arange(1, 1001).double()
#     print(int((schedule.log_snr(t).exp() < 0.01).sum()))
# ```
# 326 of the linear, 64 of the cosine ones: that is why the cosine schedule was invented.
#
# </details>
#
# 2. `VE` never makes the picture smaller, and ends at sigma = 80. Why must it end so high, if data lie in [-1, 1]?
#
# <details><summary>Solution</summary>
#
# x_T must look like a draw of N(0, sigma^2) wherever x_0 is. KL(q(x_T | x_0) || N(0, sigma^2)) is about
# x_0^2 / (2 sigma^2) per number: 8e-5 nats at 80, and a hundred times as much at 8.
#
# </details>
