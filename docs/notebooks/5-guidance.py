# %% [markdown]
# # 5. Conditions and guidance
#
# A model that is told the class draws p(x | y). Guidance draws what is *more* of the class than the model itself would.

# %%
import os
import tempfile

import torch
from sklearn.linear_model import LogisticRegression

import unnoise
from unnoise.data import image_grid

SHORT = bool(os.environ.get("UNNOISE_SHORT"))  # set by the tests
SMALL = {
    "model.network.channels": 8 if SHORT else 16,
    "model.network.multipliers": [1, 2],
    "model.network.attention": [],
    "train.batch_size": 64,
    "train.warmup": 50,
    "train.ema": 0.99,
    "train.samples": 0,
}

run = unnoise.train(
    "digits", "ddpm-class", tempfile.mkdtemp() + "/run", steps=3 if SHORT else 1200, overrides=SMALL, device="cpu"
)
model = unnoise.load(run.folder, device="cpu")
STEPS = 3 if SHORT else 40

# %% [markdown]
# ## Asked for
# The label's embedding is added to the time's. In training one label in ten is left out, so that one network is both
# p(x | y) and p(x). A row for each of the first digits:

# %%
PER_CLASS = 2 if SHORT else 8
labels = torch.arange(10).repeat_interleave(PER_CLASS)
seeds = range(len(labels))


def drawn(scale):
    return model.sample(
        seeds, {"label": labels}, sampler=unnoise.DDIM(steps=STEPS), guidance=unnoise.ClassifierFree(scale)
    )


image_grid(drawn(1.0)[: 5 * PER_CLASS], columns=PER_CLASS)

# %% [markdown]
# ## Classifier-free guidance
# $\tilde\epsilon = \epsilon(x_t) + w\, (\epsilon(x_t \mid y) - \epsilon(x_t))$. By Bayes' rule the difference is
# $-\sigma_t \nabla \log p(y \mid x_t)$: w multiplies the gradient of a classifier that nobody trained.

# %%
train = unnoise.open_source("digits", progress=False)
classifier = LogisticRegression(max_iter=50 if SHORT else 500, C=0.01, tol=0.1 if SHORT else 1e-4)
classifier.fit(train.batch(range(len(train))).image.flatten(1).numpy(), train.labels)
rows = []
for scale in (0.0, 1.0, 2.0, 4.0):
    images = drawn(scale)
    right = float((torch.as_tensor(classifier.predict(images.flatten(1).numpy())) == labels).float().mean())
    within = images.view(10, PER_CLASS, 1, 8, 8).std(1).mean()
    print(
        f"w = {scale:.0f}: {100 * right:3.0f} % are the digit asked for; standard deviation within a class {within:.2f}"
    )
    rows.append(images[3 * PER_CLASS : 4 * PER_CLASS])
image_grid(torch.cat(rows), columns=PER_CLASS)

# %% [markdown]
# More guidance: more of the digit asked for, and less variety. w = 0 forgets the label.
#
# ## Exact guidance, in the plane
# With a mixture everything is known: p(x | y) is one of its halves, and the classifier p(y | x_t) is exact. The two kinds
# of guidance are one.

# %%
from unnoise.guidance import ClassifierFree, ClassifierGuidance

schedule = unnoise.Cosine()
means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double()
mixture = unnoise.GaussianMixture(torch.ones(2), means, 0.6)
halves = [unnoise.GaussianMixture(torch.ones(1), mean[None], 0.6) for mean in means]


class Conditional:
    """The mixture, or one of its halves where a label is given."""

    schedule = schedule

    def __call__(self, x_t, t, cond=None):
        chosen = mixture if cond is None else halves[int(cond["label"][0])]
        return chosen.denoiser(schedule)(x_t, t)


def log_prob(x_t, t, label):
    joint = torch.stack([half.at(schedule, t).log_prob(x_t) for half in halves], 1)
    return joint.log_softmax(1).gather(1, label[:, None]).squeeze(1)


x_t, t = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double(), torch.tensor(0.5).double()
label = {"label": torch.ones(5).long()}
free = ClassifierFree(3.0)(Conditional())(x_t, t, label)
bayes = ClassifierGuidance(log_prob, 3.0)(mixture.denoiser(schedule))(x_t, t, label)
print(f"largest difference of the two: {float((free.eps - bayes.eps).abs().max()):.1e}")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharex=True, sharey=True)
x_T = torch.randn(100 if SHORT else 800, 2, generator=torch.Generator().manual_seed(0)).double()
asked = {"label": torch.ones(len(x_T)).long()}
for panel, scale in zip(axes, (0.0, 1.0, 3.0), strict=True):
    samples = unnoise.DDIM(steps=5 if SHORT else 50).run(ClassifierFree(scale)(Conditional()), x_T, cond=asked)
    panel.plot(*samples.T.numpy(), ".", markersize=2)
    panel.set_title(f"w = {scale:.0f}: mean {float(samples[:, 0].mean()):.2f}, std {float(samples[:, 0].std()):.2f}")
figure.tight_layout()

# %% [markdown]
# ## Exercises
#
# 1. Guide at some noise levels only: `unnoise.guidance.Interval(unnoise.ClassifierFree(4), 0.3, 3)`. Which levels matter?
#
# <details><summary>Solution</summary>
#
# The middle ones. At high noise guidance takes variety away, at low noise it changes nothing that is seen
# (Kynkäänniemi et al. 2024).
#
# </details>
#
# 2. Why do guided samples not have the density $p(x)\, p(y \mid x)^w$, although their score at t = 0 is that one's?
#
# <details><summary>Solution</summary>
#
# The score of the noised density $p(x)\, p(y \mid x)^w$ at t > 0 is not $\nabla \log q(x_t) + w \nabla \log p(y \mid x_t)$:
# noising and raising to a power do not commute. `examples/guidance.py` measures the gap.
#
# </details>
