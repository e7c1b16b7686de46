# %% [markdown]
# # 4. Five families on one set
#
# Autoencoder, denoising autoencoder, VAE, GAN and diffusion on the same 1,500 digits: what each can do, and what not.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import unnoise
from unnoise.data import image_grid
from unnoise.seeding import StepNoise

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
FOLDER = Path(tempfile.mkdtemp())
TRAIN = {"train.warmup": 20, "train.ema": 0.99, "train.samples": 0}
NARROW = {"model.channels": 8 if SHORT else 16}

digits = unnoise.open_source("digits", split="test", progress=False)
x = digits.batch(range(8)).image


def trained(recipe, steps, **overrides):
    overrides = {**TRAIN, **{key.replace("__", "."): value for key, value in overrides.items()}}
    run = unnoise.train(
        "digits", recipe, FOLDER / recipe, steps=2 if SHORT else steps, overrides=overrides, device="cpu"
    )
    return unnoise.load(run.folder, device="cpu")


# %% [markdown]
# ## Autoencoder: compress, and come back
# $\min \mathbb{E} \|x - g(f(x))\|^2$ through a bottleneck. It reconstructs; it cannot draw, for nothing says which latents
# occur. Latents drawn at random give no digits:

# %%
ae = trained("autoencoder", 1200, **NARROW, model__latent=8)
z = ae.encode(x)
random = torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) * z.std() + z.mean()
image_grid(torch.cat([x, ae.decode(z), ae.decode(random)]), columns=8)

# %% [markdown]
# ## Denoising autoencoder: the score in disguise
# Trained on corrupted images, it learns $\mathbb{E}[x_0 \mid \tilde x] = \tilde x + \sigma^2 \nabla \log q(\tilde x)$. Rows: clean, noisy,
# denoised.

# %%
dae = trained("dae", 1200, **NARROW, model__latent=32, objective__corruption="gaussian", objective__amount=0.5)
noisy = x + 0.5 * StepNoise(0).normal(x)
image_grid(torch.cat([x, noisy, dae.decode(dae.encode(noisy))]), columns=8)

# %% [markdown]
# ## VAE: a prior for the latents
# The ELBO pays for every nat that q(z | x) carries beyond the prior, so random latents decode to digits. Rows:
# reconstruction, samples' mean, samples drawn from p(x | z), pixel by pixel.

# %%
vae = trained("vae", 1200, **NARROW, model__latent=8, model__likelihood="gaussian")
z = vae.prior(range(8))
with torch.no_grad():
    rows = [vae.decode(vae.encode(x)), vae.decode(z), vae.draw(z, StepNoise(0))]
image_grid(torch.cat(rows), columns=8)

# %% [markdown]
# ## GAN: a game
# No likelihood: a discriminator is the loss. Sharp, quick to sample, and nothing promises that every kind of digit is
# drawn.

# %%
gan = trained("gan", 1000, **NARROW, objective__channels=8 if SHORT else 16, objective__multipliers=[1, 2])
image_grid(gan.sample(range(16)), columns=8)

# %% [markdown]
# ## Diffusion: many small corrections

# %%
ddpm = trained("ddpm-digits", 1500, model__network__channels=8 if SHORT else 16, model__network__attention=[])
steps = 3 if SHORT else 50
image_grid(ddpm.sample(range(16), sampler=unnoise.DDIM(steps=steps)), columns=8)

# %% [markdown]
# ## Who draws all ten digits?
# A linear classifier of pixels counts what each family draws.

# %%
from sklearn.linear_model import LogisticRegression

train = unnoise.open_source("digits", progress=False)
classifier = LogisticRegression(max_iter=50 if SHORT else 500, C=0.01, tol=0.1 if SHORT else 1e-4)
classifier.fit(train.batch(range(len(train))).image.flatten(1).numpy(), train.labels)
count = 16 if SHORT else 300
drawn = {
    "vae": vae.sample(range(count)),
    "gan": gan.sample(range(count)),
    "diffusion": ddpm.sample(range(count), sampler=unnoise.DDIM(steps=steps)),
}
figure, axes = plt.subplots(figsize=(7, 3))
for index, (name, images) in enumerate(drawn.items()):
    classes = torch.bincount(torch.as_tensor(classifier.predict(images.flatten(1).numpy())), minlength=10) / count
    axes.bar([digit + 0.27 * (index - 1) for digit in range(10)], classes.tolist(), 0.27, label=name)
    print(f"{name:10} draws {int((classes > 0).sum())} of 10 digits")
axes.axhline(0.1, color="black", linewidth=0.8)
axes.set(xlabel="digit", ylabel="fraction of the samples", xticks=range(10))
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## Exercises
#
# 1. Which of the five can tell how probable an image is? Ask `isinstance(model, unnoise.models.CanScore)`.
#
# <details><summary>Solution</summary>
#
# The VAE (a lower bound), and the diffusion model through its own bound (`unnoise.metrics.likelihood`). The GAN and the
# autoencoders have no density.
#
# </details>
#
# 2. Train the VAE with `objective.beta` 0.1 and 10. What happens to reconstructions, what to samples?
#
# <details><summary>Solution</summary>
#
# A small beta: good reconstructions, and samples with holes, as the latents no longer fill the prior. A large one: the
# latents carry almost nothing, and all images look alike.
#
# </details>
