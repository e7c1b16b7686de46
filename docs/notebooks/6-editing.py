# %% [markdown]
# # 6. Editing your own pictures
#
# Train on a folder of pictures, then fill holes, enlarge, vary and mix them. Here the folder holds digits as PNG files, so
# that the notebook needs nothing; put your own in their place.

# %%
import os
import tempfile
from pathlib import Path

import torch

import unnoise
from unnoise.data import image_grid, save_png
from unnoise.inverse import inpaint, upscale, vary
from unnoise.samplers import DDIM, invert, slerp

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

digits = unnoise.open_source("digits", progress=False)
for index in range(40 if SHORT else len(digits)):
    save_png(digits.batch([index]).image[0], FOLDER / "pictures" / f"{index:04d}.png")
run = unnoise.train(
    FOLDER / "pictures", "ddpm-digits", FOLDER / "run", steps=3 if SHORT else 1500, overrides=SMALL, device="cpu"
)
model = unnoise.load(run.folder, device="cpu")
STEPS = 3 if SHORT else 50

held_out = unnoise.open_source("digits", split="test", progress=False).batch(range(8)).image
image_grid(held_out, columns=8)

# %% [markdown]
# ## Fill a hole
# The score of the posterior: $\nabla \log q(x_t \mid y) = \nabla \log q(x_t) + \nabla \log p(y \mid x_t)$. Known pixels stay as they are.
# Rows: with the hole, three ways to fill it. The command: `unnoise edit inpaint RUN PICTURE --mask MASK`.

# %%
known = torch.ones(8, 8, dtype=torch.bool)
known[4:, :] = False
sampler = DDIM(steps=STEPS, eta=1.0)
given = torch.where(known, held_out, 1.0)
filled = [
    inpaint(model, held_out, known, sampler=sampler, noise=0.01, seeds=range(8 * row, 8 * row + 8)) for row in range(3)
]
image_grid(torch.cat([given, *filled]), columns=8)

# %% [markdown]
# ## Enlarge
# From 4x4 means to 8x8 pixels. The command: `unnoise edit upscale RUN SMALL`.

# %%
small = torch.nn.functional.avg_pool2d(held_out, 2)
enlarged = upscale(model, small, 2, sampler=sampler, noise=0.01)
image_grid(torch.cat([torch.nn.functional.interpolate(small, scale_factor=2), enlarged, held_out]), columns=8)

# %% [markdown]
# ## Vary
# Noise it part of the way, and come back (SDEdit): strength 0 gives the picture back, 1 forgets it.

# %%
rows = [
    vary(model.guided(), held_out, strength, sampler=DDIM(steps=STEPS), seeds=range(8))
    for strength in (0.0, 0.4, 0.7, 1.0)
]
image_grid(torch.cat(rows), columns=8)

# %% [markdown]
# ## Mix
# DDIM without noise is invertible: a picture has a noise that gives it back, and between two noises lie pictures.

# %%
ddim = DDIM(steps=STEPS, grid="uniform")
noise = invert(model, held_out[:2], ddim)
between = torch.cat([slerp(noise[:1], noise[1:], share / 7) for share in range(8)])
mixed = ddim.run(model.guided(), between)
print(f"back from the noise: {float((mixed[0] - held_out[0]).abs().mean()):.3f} away, of a range of 2")
image_grid(mixed, columns=8)

# %% [markdown]
# ## Exercises
#
# 1. Average the two pictures' pixels instead. Why is the middle of the two rows so different?
#
# <details><summary>Solution</summary>
#
# The mean of two pictures is a double exposure, which no training image looks like. The middle of two *noises* (on the
# sphere) is as likely a noise as any, so it gives a picture.
#
# </details>
#
# 2. Replace `slerp` by a straight line. What goes wrong in the middle?
#
# <details><summary>Solution</summary>
#
# The mean of two independent noises has the norm of noise divided by sqrt(2): the model takes it for a picture that is
# less noisy than it is, and draws something smooth and grey.
#
# </details>
