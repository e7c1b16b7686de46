"""Stacked digits: three digits as the channels of a picture, a thousand modes that a classifier can count."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data import Images, image_grid
from unnoise.errors import UserError
from unnoise.lectures.cells import Cells
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.lectures.trained import FAMILIES, Budget, classes_of, drawn_by, open_labelled, train_family
from unnoise.metrics.modes import mode_coverage

CHANNELS = 3
TRAINING = 50_000
"""Pictures that are stacked to train on."""
SHOWN = 36
REAL = "data"


def stacked(
    source: str | Path = "digits",
    /,
    *,
    folder: Path,
    minutes: float = 4.0,
    steps: int | None = None,
    n: int = 20_000,
    seed: int = 0,
    device: str | None = None,
) -> Drawn:
    """How many of the modes of stacked digits a GAN, a VAE and diffusion draw, and the KL of their fractions from the
    data's (Metz et al. 2017, section 3.3.1); a classifier of the source reads every channel.

    Args:
        source: labelled grey images; ten classes make 1,000 modes.
        folder: where trainings and results are kept; a second call goes on.
        minutes: of every training.
        steps: instead of minutes.
        n: samples of every family.
        seed: of everything.
        device: by default the best there is.

    Raises:
        UserError: for a source without labels or with colours, and for a folder with results of other settings.
    """
    budget = Budget(minutes, steps, n, seed, device)
    cells = Cells(folder, budget.record(source))
    images = open_labelled(source, "unnoise show stacked")
    if images.shape[0] != 1:
        raise UserError(f"unnoise show stacked takes grey images, whose stack has three channels; {source} has colours")
    training, labels = stack(images, TRAINING, seed)
    modes = len(images.classes) ** CHANNELS
    found = {REAL: cells.once(REAL, partial(_real, cells, images=images, source=source, budget=budget))}
    for family in FAMILIES:
        cell = partial(_cell, cells, family=family, training=training, source=source, budget=budget)
        found[family] = cells.once(family, cell)
    figure = slide(f"Stacked digits, {modes:,} modes: trained for {budget.words()} each, {n:,} samples")
    above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1), squeeze=False).flat
    panels, ranks = above.subplots(1, len(found)), below.subplots()
    numbers = {}
    for axes, (name, result) in zip(panels, found.items(), strict=True):
        predicted = np.array(result["modes"])
        coverage = mode_coverage(predicted, labels, classes=modes)
        numbers[name] = {"found": coverage.covered, "kl": coverage.kl, "steps": result.get("steps")}
        sheet = np.asarray(image_grid(cells.kept(name), columns=6, scale=1, padding=1)).transpose(2, 0, 1)
        picture_axes(axes, sheet, f"{name}\n{coverage.covered:,} modes, KL {coverage.kl:.2f}", fontsize=12)
        _ranked(ranks, predicted, modes, name)
    ranks.axhline(n / modes, color="black", linewidth=1, linestyle=":")
    ranks.set(xlabel="modes, the most frequent first", ylabel="samples of the mode", yscale="symlog", xlim=(0, modes))
    ranks.set_ylim(bottom=0)
    ranks.legend(ncols=len(found), loc="upper right")
    expected = float(mode_coverage(np.array(found[REAL]["modes"]), labels, classes=modes).kl_baseline)
    return Drawn(figure, {"minutes": minutes, "n": n, "modes": modes, "kl_of_as_many_perfect": expected, **numbers})


def stack(images: Images, count: int, seed: int) -> tuple[Images, np.ndarray]:
    """Pictures (3, H, W) of three images drawn at random, without labels, and the mode of each, (count,) int64."""
    assert images.labels is not None
    rows = np.random.default_rng((seed, count)).integers(0, len(images), (count, CHANNELS))
    pixels = np.ascontiguousarray(images.pixels[rows][:, :, 0])
    return Images(pixels, source=f"stacked {images.source}"), mode_of(images.labels[rows], len(images.classes))


def mode_of(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N,) int64: one number of the three classes (N, 3), as digits of a number with `classes` as its base."""
    return labels @ (classes ** np.arange(CHANNELS - 1, -1, -1))


def modes_in(pixels: np.ndarray, source: str | Path, device: str | None) -> np.ndarray:
    """(N,) int64: the modes that a classifier of the source sees in pictures uint8 (N, 3, H, W)."""
    channels: list[Tensor] = [classes_of(pixels[:, [index]], source, device) for index in range(CHANNELS)]
    classes = len(open_labelled(source, "unnoise show stacked").classes)
    return mode_of(np.stack([channel.numpy() for channel in channels], 1), classes)


def _real(cells: Cells, folder: Path, images: Images, source: str | Path, budget: Budget) -> Record:
    """As many pictures of the data that no training saw in this combination: what the classifier makes of them."""
    pixels = stack(images, budget.n, budget.seed + 1)[0].pixels
    cells.keep(folder, pixels[:SHOWN])
    return {"modes": modes_in(pixels, source, budget.device).tolist()}


def _cell(cells: Cells, folder: Path, family: str, training: Images, source: str | Path, budget: Budget) -> Record:
    # Digits are nearly black and white, and with the likelihood of such pixels the VAE's means are clearest.
    changes = {"model.likelihood": "bernoulli"} if family == "VAE" else None
    run = train_family(family, training, folder / "run", budget, changes)
    drawn = drawn_by(run.load(budget.device), budget.n, budget.seed)
    cells.keep(folder, drawn[:SHOWN])
    return {"modes": modes_in(drawn, source, budget.device).tolist(), "steps": run.weights()["step"]}


def _ranked(axes: Axes, predicted: np.ndarray, modes: int, name: str) -> None:
    counts = np.sort(np.bincount(predicted, minlength=modes))[::-1]
    colour = {REAL: "black"}.get(name, COLOURS[FAMILIES.index(name) if name in FAMILIES else 0])
    axes.plot(np.arange(modes), counts, label=name, color=colour)
