"""How much each family minds its learning rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unnoise.lectures.mixtures import ring
from unnoise.lectures.modes import counted
from unnoise.lectures.plane import Draw, Setting, train_diffusion, train_gan, train_vae
from unnoise.lectures.slide import Drawn, slide
from unnoise.process.analytic import GaussianMixture

STEPS = 1500
SAMPLES = 1000
SEEDS = 3
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
Train = Callable[[GaussianMixture, int, int, float], Draw]
FAMILIES: dict[str, Train] = {
    "GAN": lambda data, steps, seed, rate: train_gan(data, steps, seed, Setting(learning_rate=rate, critic_rate=rate)),
    "GAN with R1": lambda data, steps, seed, rate: train_gan(
        data, steps, seed, Setting(learning_rate=rate, critic_rate=rate, penalty="r1")
    ),
    "VAE": lambda data, steps, seed, rate: train_vae(data, steps, seed, rate),
    "diffusion": lambda data, steps, seed, rate: train_diffusion(data, steps, seed, rate=rate),
}


def rates(*, seed: int = 0, steps: int = STEPS) -> Drawn:
    """Modes found, and the samples near one, after training on eight Gaussians at six learning rates: the mean of three
    seeds, and the range between them.

    Args:
        seed: the first; the others follow.
        steps: training steps of each of the 72.
    """
    data = ring(8, radius=2.0, std=0.1)
    figure = slide("The learning rate: who minds it?")
    panels = figure.subplots(1, 2)
    numbers: dict[str, dict[str, list[list[float]]]] = {}
    for name, train in FAMILIES.items():
        results = [
            [counted(train(data, steps, seed + row, rate)(SAMPLES), data) for row in range(SEEDS)] for rate in RATES
        ]
        numbers[name] = {key: [[result[key] for result in row] for row in results] for key in ("found", "near")}
        for axes, key in zip(panels, ("found", "near"), strict=True):
            values = np.array(numbers[name][key])
            (line,) = axes.semilogx(RATES, values.mean(1), marker="o", label=name)
            axes.fill_between(RATES, values.min(1), values.max(1), color=line.get_color(), alpha=0.15, linewidth=0)
    panels[0].set(xlabel="learning rate", ylabel="modes found, of 8", ylim=(0, 8.4))
    panels[1].set(xlabel="learning rate", ylabel="fraction of samples near a mode", ylim=(0, 1.04))
    panels[0].legend(loc="lower left")
    return Drawn(figure, {"steps": steps, "rates": list(RATES), **numbers})
