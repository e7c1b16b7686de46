"""Mode collapse of a GAN, and three cures."""

from __future__ import annotations

from dataclasses import replace

from unnoise.lectures.mixtures import ring
from unnoise.lectures.modes import counted, scatter
from unnoise.lectures.plane import Setting, train_gan
from unnoise.lectures.slide import Drawn, slide

STEPS = 2000
SAMPLES = 1000
SEEDS = 3
FAST = Setting(learning_rate=1e-3, critic_rate=4e-4)
"""The generator learns faster than its opponent: it runs after whatever the discriminator likes best just now."""
SETTINGS = {
    "no cure": FAST,
    "R1": replace(FAST, penalty="r1", penalty_weight=3.0),
    "spectral norm": replace(FAST, spectral=True),
    "minibatch statistics": replace(FAST, batch_std=True),
}


def collapse(*, seed: int = 0, steps: int = STEPS) -> Drawn:
    """A GAN on eight Gaussians whose generator draws a few of them, and the same with R1, with spectral normalisation
    and with minibatch statistics: a column each, three seeds below one another.

    Args:
        seed: of the first row; the others follow.
        steps: training steps of each of the twelve.
    """
    data = ring(8, radius=2.0, std=0.1)
    figure = slide("Mode collapse, and three cures")
    found: dict[str, list[float]] = {}
    panels = figure.subplots(SEEDS, len(SETTINGS))
    for column, (name, setting) in enumerate(SETTINGS.items()):
        found[name] = []
        for row in range(SEEDS):
            x = train_gan(data, steps, seed + row, setting)(SAMPLES)
            count = counted(x, data)["found"]
            found[name].append(count)
            scatter(panels[row, column], x, data, f"{name}\n{count} of 8" if row == 0 else f"{count} of 8")
    return Drawn(figure, {"steps": steps, "modes_found": found})
