# %% [markdown]
# # 7. Likelihood and outliers
#
# How probable does a model find an image? And is what it finds improbable what we would call strange?

# %%
import math
import os
import tempfile

import matplotlib.pyplot as plt
import torch

import unnoise
from unnoise.data import image_grid
from unnoise.evaluation.likelihood import auroc, scores_of
from unnoise.metrics.likelihood import density_bits, dequantise, ode_log_likelihood, variational_bound

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
SMALL = {
    "model.network.channels": 8 if SHORT else 16,
    "model.network.attention": [],
    "model.schedule.T": 50 if SHORT else 1000,
    "train.batch_size": 32,
    "train.warmup": 50,
    "train.ema": 0.99,
    "train.samples": 0,
    "sampler.steps": 5,
}

run = unnoise.train(
    "digits", "ddpm-digits", tempfile.mkdtemp() + "/run", steps=3 if SHORT else 1500, overrides=SMALL, device="cpu"
)
model = unnoise.load(run.folder, device="cpu")
test = unnoise.open_source("digits", split="test", progress=False).batch(range(8 if SHORT else 64)).image

# %% [markdown]
# ## The bound
# $-\log_2 p(x) / D \le (L_T + \sum L_{t-1} + L_0) / (D \log 2)$. A model that knows nothing pays 8 bits per pixel.

# %%
bound = variational_bound(model.guided(), test, sampled=5 if SHORT else 50)
for name, bits in bound.bits_per_dim().items():
    print(f"{name:10} {bits:7.4f} bits/dim")

# %% [markdown]
# ## Where the bits go
# Most are spent at small t, on the last levels of grey. A picture is recognised far earlier.

# %%
seen = bound.per_t.isfinite()
figure, axes = plt.subplots(figsize=(6, 3))
axes.loglog(bound.times[seen], bound.per_t[seen] / math.log(2), ".")
axes.set(xlabel="t", ylabel="bits per dimension")
figure.tight_layout()

# %% [markdown]
# ## By the ODE
# The probability flow is invertible, so the density has a change of variables: exact up to the solver, instead of a bound.

# %%
few = test[: 1 if SHORT else 8]
flow = ode_log_likelihood(
    model,
    dequantise(few, 0),
    trace="hutchinson",
    rtol=0.1 if SHORT else 1e-2,
    atol=0.1 if SHORT else 1e-2,
    sigma_min=0.02,
)
print(f"by the ODE   {density_bits(flow.nats_per_dim):.3f} bits/dim, {flow.network_calls} network calls")

# %% [markdown]
# ## Is the improbable strange?
# Four kinds of images: test digits; digits upside down; black pictures; noise. Two scores: bits per dimension, and the
# error of denoising. AUROC: how often a strange image scores higher than a digit.

# %%
kinds = {
    "digits": test,
    "upside down": test.flip(2),
    "black": torch.full_like(test, -1.0),
    "noise": torch.rand(test.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1,
}
image_grid(torch.cat([images[:6] for images in kinds.values()]), columns=6)

# %%
scores = {name: scores_of(model, images) for name, images in kinds.items()}
for name in list(kinds)[1:]:
    found = {score: auroc(scores["digits"][score].cpu(), values.cpu()) for score, values in scores[name].items()}
    print(f"{name:12}", "  ".join(f"{score} {value:.2f}" for score, value in found.items()))

# %% [markdown]
# The digits that the model finds strangest (above) and most usual (below):

# %%
order = scores["digits"]["denoising_error"].argsort(descending=True).cpu()
image_grid(torch.cat([test[order[:8]], test[order[-8:]]]), columns=8)

# %% [markdown]
# Noise is found by both. Upside-down digits hardly by bits, which count fine detail, and better by the denoising error.
# The improbable and the strange are not the same: of photographs, simple images often get *fewer* bits than those that
# the model was trained on (Nalisnick et al. 2019). Try it with `unnoise score` on your own pictures.
#
# ## Exercises
#
# 1. Do both scores put the test digits in the same order?
#
# <details><summary>Solution</summary>
#
# ```python
# from scipy.stats import spearmanr
# print(spearmanr(scores["digits"]["bits_per_dim"].cpu(), scores["digits"]["denoising_error"].cpu()).statistic)
# ```
# Roughly: bits count mostly fine detail, the denoising error weighs all noise levels alike.
#
# </details>
#
# 2. Typical sets: why are draws of a Gaussian in many dimensions never near its mean, its most probable point?
#
# <details><summary>Solution</summary>
#
# The volume at a distance r from the mean grows like r^(D - 1). Density times volume is largest at r = sqrt(D), far from
# the point of the highest density. A simple image can be such a point: denser than any typical one, and never drawn.
#
# </details>
