"""Generative models in the plane: two numbers instead of pixels, trained in seconds, on distributions that are known.

The games, penalties, schedules and samplers are the library's own; only the networks are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unnoise.aliases import Conditions
from unnoise.models.vae import Posterior
from unnoise.networks.gan import SpectralNorm
from unnoise.objectives.adversarial import GAMES, PENALTIES, frozen
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import gaussian_log_prob, perturb
from unnoise.process.parametrization import V
from unnoise.process.schedule import Cosine, Schedule
from unnoise.samplers import DDIM
from unnoise.seeding import SeededNoise, StepNoise, fold

BATCH = 128
WIDTH = 64
LIPSCHITZ = 30.0
"""Of a discriminator with spectral norms: with 1 it could not tell modes apart that lie 1.5 from one another."""
RATE = 2e-3
"""The learning rate of a VAE and of diffusion, from which it falls to 0."""
Draw = Callable[[int], Tensor]
"""How many -> points (n, 2) of a trained model."""


@dataclass(frozen=True)
class Setting:
    """How a GAN is trained.

    Args:
        game: a name in GAMES.
        penalty: a name in PENALTIES, times penalty_weight.
        spectral: whether the discriminator's weights have the norm 1, and its logits then the factor LIPSCHITZ.
        batch_std: whether it sees how its batch varies.
        learning_rate: of the generator.
        critic_rate: of the discriminator.
        latent: numbers of z.
    """

    game: str = "non-saturating"
    penalty: str = "none"
    penalty_weight: float = 1.0
    spectral: bool = False
    batch_std: bool = False
    learning_rate: float = 1e-3
    critic_rate: float = 1e-3
    latent: int = 2


class Critic(nn.Module):
    """Points (B, 2) -> logits (B,)."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.body = perceptron(2, WIDTH, nn.LeakyReLU(0.2))
        self.batch_std, self.gain = setting.batch_std, LIPSCHITZ if setting.spectral else 1.0
        self.last = nn.Linear(WIDTH * (2 if setting.batch_std else 1), 1)
        if setting.spectral:
            for layer in self.layers():
                parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        if self.batch_std:
            varies = (h.var(0, unbiased=False) + 1e-8).sqrt()
            h = torch.cat([h, varies.expand(len(h), -1)], 1)
        return self.gain * self.last(h).squeeze(1)

    def layers(self) -> list[nn.Linear]:
        return [layer for layer in (*self.body, self.last) if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def update_norms(self) -> None:
        """One power iteration of every spectral norm."""
        for layer in self.layers():
            if parametrize.is_parametrized(layer):
                (norm,) = layer.parametrizations.weight  # type: ignore[union-attr, misc]
                norm.iterate(layer.parametrizations.weight.original)  # type: ignore[union-attr]


class Game:
    """A GAN in the plane, step by step.

    Args:
        data: the distribution that the generator is to learn.
        setting: how.
        seed: of weights, data and z.
    """

    def __init__(self, data: GaussianMixture, setting: Setting, seed: int = 0) -> None:
        self.data, self.setting, self.seed, self.step = data, setting, seed, 0
        with seeded(seed):
            self.generator = nn.Sequential(perceptron(setting.latent, WIDTH, nn.ReLU()), nn.Linear(WIDTH, 2))
            self.critic = Critic(setting)
        betas = 0.5, 0.9
        self._players = (
            torch.optim.Adam(self.generator.parameters(), lr=setting.learning_rate, betas=betas),
            torch.optim.Adam(self.critic.parameters(), lr=setting.critic_rate, betas=betas),
        )

    def play(self, steps: int) -> Game:
        """Trains both for so many steps."""
        for _ in range(steps):
            self.sharpen(1)
            with frozen(self.critic):
                self._learn(0, self.generator_loss(StepNoise(self.seed, self.step)))
        return self

    def sharpen(self, steps: int) -> None:
        """Trains the discriminator alone."""
        for _ in range(steps):
            self.step += 1
            self._learn(1, self.critic_loss(StepNoise(self.seed, self.step)))
            self.critic.update_norms()

    @torch.no_grad()
    def batch(self, noise: StepNoise) -> tuple[Tensor, Tensor]:
        """Points of the data and of the generator, (BATCH, 2) each."""
        return self.data.sample(BATCH, seed=fold(*noise.keys)).float(), self._fake(noise)

    def critic_loss(self, noise: StepNoise) -> Tensor:
        real, fake = self.batch(noise)
        loss = GAMES[self.setting.game].discriminator(self.critic(real), self.critic(fake)).mean()
        return loss + self.setting.penalty_weight * PENALTIES[self.setting.penalty](self.critic, real, fake, noise)

    def generator_loss(self, noise: StepNoise, game: str | None = None) -> Tensor:
        return GAMES[game or self.setting.game].generator(self.critic(self._fake(noise))).mean()

    @torch.no_grad()
    def draw(self, n: int) -> Tensor:
        """Points (n, 2) of the generator as it is now."""
        return self.generator(self._latents(n, StepNoise(self.seed, -1)))

    def _fake(self, noise: StepNoise) -> Tensor:
        return self.generator(self._latents(BATCH, noise))

    def _latents(self, n: int, noise: StepNoise) -> Tensor:
        return noise.normal(torch.empty(n, self.setting.latent))

    def _learn(self, player: int, loss: Tensor) -> None:
        optimizer = self._players[player]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def train_gan(data: GaussianMixture, steps: int, seed: int = 0, setting: Setting | None = None) -> Draw:
    """A GAN after so many steps."""
    return Game(data, setting or Setting(), seed).play(steps).draw


def train_vae(data: GaussianMixture, steps: int, seed: int = 0, rate: float = RATE) -> Draw:
    """A VAE with two latents and a Gaussian likelihood of learned width, after so many steps. It draws x ~ p(x | z)."""
    with seeded(seed):
        encoder = nn.Sequential(perceptron(2, WIDTH, nn.ReLU()), nn.Linear(WIDTH, 4))
        decoder = nn.Sequential(perceptron(2, WIDTH, nn.ReLU()), nn.Linear(WIDTH, 2))
    log_scale = nn.Parameter(torch.zeros(()))

    def loss(x: Tensor, noise: StepNoise) -> Tensor:
        posterior = Posterior(*encoder(x).chunk(2, dim=1))
        log_prob = gaussian_log_prob(x, decoder(posterior.draw(noise)), 2 * log_scale).sum(1)
        return (posterior.kl().sum(1) - log_prob).mean()

    @torch.no_grad()
    def draw(n: int) -> Tensor:
        noise = StepNoise(seed, -1)
        z = noise.normal(torch.empty(n, 2))
        return decoder(z) + log_scale.exp() * noise.normal(z)

    minimise(loss, [*encoder.parameters(), *decoder.parameters(), log_scale], data, steps, seed, rate)
    return draw


class PlaneDenoiser(nn.Module):
    """A Denoiser that predicts v."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.register_buffer("frequencies", 2.0 ** torch.arange(6) * 0.5)
        self.body = nn.Sequential(perceptron(2 + 12, WIDTH, nn.SiLU()), nn.Linear(WIDTH, 2))

    def predict(self, x_t: Tensor, t: Tensor) -> Tensor:
        angles = t.to(x_t.dtype).expand(len(x_t))[:, None] * self.get_buffer("frequencies") * torch.pi
        return self.body(torch.cat([x_t, angles.sin(), angles.cos()], 1))

    def forward(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        return V().invert(self.schedule, self.predict(x_t, t), x_t, t)


def train_diffusion(
    data: GaussianMixture, steps: int, seed: int = 0, sampling_steps: int = 50, rate: float = RATE
) -> Draw:
    """A diffusion model with the cosine schedule and the target v, after so many steps; it draws by DDIM."""
    with seeded(seed):
        denoiser = PlaneDenoiser(Cosine())

    def loss(x_0: Tensor, noise: StepNoise) -> Tensor:
        t, eps = noise.uniform(len(x_0)).clamp(min=1e-3), noise.normal(x_0)
        answer = denoiser.predict(perturb(denoiser.schedule, x_0, eps, t), t)
        return (answer - V().target(denoiser.schedule, x_0, eps, t)).square().mean()

    def draw(n: int) -> Tensor:
        x_T = SeededNoise([fold(seed)]).normal(torch.empty(1, n, 2))[0]
        return DDIM(steps=sampling_steps).run(denoiser, x_T)

    minimise(loss, list(denoiser.parameters()), data, steps, seed, rate)
    return draw


def minimise(
    loss: Callable[[Tensor, StepNoise], Tensor],
    parameters: list[nn.Parameter],
    data: GaussianMixture,
    steps: int,
    seed: int,
    rate: float = RATE,
) -> None:
    """Adam on batches of the data, its learning rate falling to 0 along a cosine."""
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(data.sample(BATCH, seed=fold(seed, step)).float(), StepNoise(seed, step)).backward()
        optimizer.step()
        schedule.step()


def perceptron(given: int, width: int, activation: nn.Module) -> nn.Sequential:
    """Three hidden layers."""
    return nn.Sequential(
        nn.Linear(given, width), activation, nn.Linear(width, width), activation, nn.Linear(width, width), activation
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, weights are drawn from this seed; the global generator is as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed))
        yield
