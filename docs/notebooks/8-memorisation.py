# %% [markdown]
# # 8. Does it copy?
#
# The perfect solution of the training loss is a model that draws its training images. Why does it not, and when does it?

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import unnoise
from unnoise.data import image_grid
from unnoise.metrics.copies import copies
from unnoise.metrics.memorisation import memorisation

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
FOLDER = Path(tempfile.mkdtemp())
SMALL = {
    "model.network.channels": 8 if SHORT else 16,
    "model.network.attention": [],
    "train.batch_size": 32,
    "train.warmup": 50,
    "train.ema": 0.99,
    "train.samples": 0,
}
STEPS, COUNT = (3, 16) if SHORT else (1200, 200)

digits = unnoise.open_source("digits", progress=False)
held_out = unnoise.open_source("digits", split="test", progress=False).batch(range(100)).image

# %% [markdown]
# ## The loss's perfect solution
# If the data are N points, $\mathbb{E}[x_0 \mid x_t]$ is a mean of the points, weighed by how near each is: a mixture of N
# Gaussians of no width. Sampling it gives the points back, all of them, and nothing else.

# %%
points = digits.batch(range(32)).image
perfect = unnoise.GaussianMixture(torch.ones(32), points.flatten(1).double(), 1e-3).denoiser(unnoise.Cosine())
x_T = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).double()
drawn = unnoise.DDIM(steps=50).run(perfect, x_T).float().view(-1, 1, 8, 8)
print(f"{int(copies(drawn, points).sum())} of 8 samples are copies")
image_grid(drawn, columns=8)

# %% [markdown]
# ## Few images, many images
# A network cannot express that function for many images, and what it does instead is generalise. The same network, the
# same steps, on 16 images and on all 1,500:


# %%
def trained(count):
    pixels = np.ascontiguousarray(digits.pixels[:count])
    run = unnoise.train(pixels, "ddpm-digits", FOLDER / str(count), steps=STEPS, overrides=SMALL, device="cpu")
    return unnoise.load(run.folder, device="cpu")


def nearest(samples, training):
    distances = torch.cdist(samples.flatten(1), training.flatten(1))
    return training[distances.argmin(1)]


fractions, rows = {}, []
for count in (16, len(digits)):
    training = digits.batch(range(count)).image
    samples = trained(count).sample(range(COUNT), sampler=unnoise.DDIM(steps=3 if SHORT else 50))
    fractions[count] = float(copies(samples, training).float().mean())
    rows += [samples[:8], nearest(samples[:8], training)]
    print(f"trained on {count:4} images: {100 * fractions[count]:.0f} % copies")
image_grid(torch.cat(rows), columns=8)

# %% [markdown]
# Rows: samples of the model of 16 images and the training images nearest to them; the same of the model of all.
#
# ## Nearer than chance?
# Held-out images cannot be copies. How near are *they* to the training set? Samples that come nearer, more often, are
# suspicious.

# %%
training = digits.batch(range(len(digits))).image
found = memorisation(samples.flatten(1), training.flatten(1), held_out.flatten(1))
print(f"suspicious: {found.fraction:.3f} of the samples, {found.expected:.3f} of the held-out images")
print(f"a sample is nearer to the training set than a held-out image with probability {found.closer:.2f}")

figure, axes = plt.subplots(figsize=(6, 3))
for name, images in {"samples": samples, "held-out": held_out}.items():
    distances = torch.cdist(images.flatten(1), training.flatten(1)).min(1).values
    axes.hist(distances.numpy(), bins=30, density=True, alpha=0.5, label=name)
axes.set(xlabel="distance to the nearest training image", ylabel="density")
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## Exercises
#
# 1. At how many training images do the copies disappear? Try 16, 64, 256.
#
# <details><summary>Solution</summary>
#
# ```python
# for count in (16, 64, 256):
#     samples = trained(count).sample(range(COUNT))
#     print(count, float(copies(samples, digits.batch(range(count)).image).float().mean()))
# ```
# It depends on the network's size and on how long it is trained: more of either moves the border up.
#
# </details>
#
# 2. Put one image a hundred times into the set of 1,500. Is it copied?
#
# <details><summary>Solution</summary>
#
# Yes: the weight of a point in the perfect solution is how often it occurs, and duplicates are what large models are known
# to copy. `copies` will not show it unless duplicates are removed from the training set first (why?).
#
# </details>
