# %% [markdown]
# # 3. One model and every sampler
#
# A trained diffusion model is a function that denoises. How it is walked from noise to an image is another matter, and
# chosen after training: DDPM, DDIM, ODE solvers, SDE solvers, Langevin.

# %%
import os
import tempfile
import time

import matplotlib.pyplot as plt
import torch

import unnoise
from unnoise.data import image_grid
from unnoise.lectures.trajectories import trajectories
from unnoise.samplers import DDIM, SAMPLERS

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
SMALL = {
    "model.network.channels": 8 if SHORT else 16,
    "model.network.attention": [],
    "train.batch_size": 32,
    "train.warmup": 50,
    "train.ema": 0.99,
    "train.samples": 0,
}

run = unnoise.train(
    "digits", "ddpm-digits", tempfile.mkdtemp() + "/run", steps=3 if SHORT else 1500, overrides=SMALL, device="cpu"
)
model = unnoise.load(run.folder, device="cpu")
image_grid(model.sample(range(16), sampler=DDIM(steps=5 if SHORT else 50)), columns=8)

# %% [markdown]
# ## The same noise, more and more steps
#
# Without noise on the way, sampling follows an ODE: x_T decides everything, and more steps follow the same path more
# closely. `unnoise show trajectories RUN` draws this figure.

# %%
trajectories(run.folder, device="cpu")

# %% [markdown]
# ## All samplers at the same price
#
# How far is each from the exact end of the same path? Samplers that draw noise of their own go elsewhere, so they are
# only looked at.

# %%
CALLS = 4 if SHORT else 10
seeds = range(8)
exact = model.sample(seeds, sampler=DDIM(steps=20 if SHORT else 400))
rows = []
for name, kind in SAMPLERS.items():
    if name in ("renoise", "rk45"):  # of consistency models; chooses its own steps
        continue
    sampler = kind(steps=max(1, (CALLS + 1) // 2) if name in ("heun", "langevin") else CALLS)  # these call twice a step
    begun = time.perf_counter()
    images = model.sample(seeds, sampler=sampler)
    distance = float((images - exact).square().mean().sqrt())
    own_noise = sampler.order == 0
    print(
        f"{name:18} {'draws noise' if own_noise else f'distance {distance:.3f}':16} {time.perf_counter() - begun:.2f} s"
    )
    rows.append(images)
image_grid(torch.cat(rows), columns=len(seeds))

# %% [markdown]
# ## Orders
#
# A solver of order p divides its error by $2^p$ when its steps double, once they are small. With the exact denoiser of a
# mixture there is no network to blame:

# %%
mixture = unnoise.GaussianMixture(torch.ones(3), torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, 1.0]]), 0.3)
denoiser = mixture.denoiser(unnoise.Cosine())
x_T = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).double()
counts = [4, 8] if SHORT else [5, 10, 20, 40, 80]
truth = unnoise.Heun(steps=100 if SHORT else 1000).run(denoiser, x_T)
figure, axes = plt.subplots(figsize=(6, 3.5))
for kind in (unnoise.DDIM, unnoise.Heun, unnoise.DPMSolver, unnoise.UniPC):
    errors = [float((kind(steps=count).run(denoiser, x_T) - truth).square().mean().sqrt()) for count in counts]
    axes.loglog(counts, errors, marker="o", label=kind.__name__)
axes.set(xlabel="steps", ylabel="distance from the path's end")
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## Between ODE and SDE
#
# DDIM's eta turns from one to the other: 0 draws no noise, 1 as much as DDPM.

# %%
steps = 5 if SHORT else 50
rows = [model.sample([0] * 1 + list(range(1, 8)), sampler=DDIM(steps=steps, eta=eta)) for eta in (0.0, 0.5, 1.0)]
image_grid(torch.cat(rows), columns=8)

# %% [markdown]
# ## Exercises
#
# 1. Which grid of times is best for DDIM in 10 steps: trailing, uniform, quadratic, karras or log-snr?
#
# <details><summary>Solution</summary>
#
# ```python
# for grid in ("trailing", "uniform", "quadratic", "karras", "log-snr"):
#     images = model.sample(seeds, sampler=DDIM(steps=10, grid=grid))
#     print(grid, float((images - exact).square().mean().sqrt()))
# ```
# Usually one that is finer near the clean end, such as quadratic. `unnoise tune RUN` searches for a better one still.
#
# </details>
#
# 2. Disturb x halfway through a trajectory. Does the ODE forget the disturbance? Does the SDE?
#
# <details><summary>Solution</summary>
#
# Stream half of the steps (`model.stream`), add noise, and go on by hand with `sampler.step`. The SDE's own noise
# replaces what is in x, so it forgets; the ODE carries the disturbance to the end.
#
# </details>
