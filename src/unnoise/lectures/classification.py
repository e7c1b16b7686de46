"""A generative classifier beside a discriminative one, and what each says of images of no class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from unnoise.aliases import Record
from unnoise.data import Images
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.probing.classify import TIMES, Classifiers
from unnoise.runs.run import Run

OWN, GLYPHS, NOISE = "test images", "glyphs", "noise"
KINDS = ("generative", "discriminative")
SHOWN = 4


def classification(run: str | Path, /, *, n: int = 200, seed: int = 0, device: str | None = None) -> Drawn:
    """The accuracies of p(y | x) ~ p(x | y) p(y) and of a discriminative network on a run's test images; how sure each
    is of those, of glyphs and of noise; and how badly the best class explains them, which only the generative one can
    tell.

    Args:
        run: a diffusion run conditional on a class, such as one of the recipe ddpm-class.
        n: images of each kind, at most.
        seed: of the noise and of the discriminative network.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        NotApplicable: for a run that is not conditional on a class.
    """
    opened = Run.open(run)
    classifiers = Classifiers(opened, times=TIMES, seed=seed, device=device)
    sets = _sets(opened, n, seed)
    found = {name: classifiers.answers(images) for name, images in sets.items()}
    figure = slide("Bayes' rule with a generative model, and a network that was trained to classify")
    upper, lower = figure.subfigures(2, 1, height_ratios=(3.4, 1), squeeze=False).flat
    right, sure, errors = upper.subplots(1, 3)
    _bars(
        right,
        ["right"],
        {kind: [found[OWN][kind]["accuracy"]] for kind in KINDS},
        f"accuracy, {len(sets[OWN])} test images",
    )
    certainty = {kind: [_mean(found[name][kind]["probability"]) for name in sets] for kind in KINDS}
    _bars(sure, list(sets), certainty, "mean probability of the best class")
    sure.legend(loc="upper right")
    sure.set_ylim(0, 1.45)
    for name, colour in zip(sets, COLOURS[2:], strict=False):
        errors.hist(np.log10(found[name]["generative"]["error"]), 25, color=colour, alpha=0.75, label=name)
    errors.axvline(np.log10(classifiers.limit), color="black", linestyle=":")
    errors.set(title="generative error", xlabel=r"$\log_{10}$ nats under the best class", ylabel="images")
    errors.set_ylim(top=1.5 * errors.get_ylim()[1])
    errors.legend(loc="upper left")
    panels = lower.subplots(1, SHOWN * len(sets))
    for index, (name, images) in enumerate(sets.items()):
        for row in range(SHOWN):
            answers = [opened.classes[found[name][kind]["predicted"][row]] for kind in KINDS]
            picture_axes(panels[SHOWN * index + row], images.pixels[row], " / ".join(answers), fontsize=10)
    return Drawn(figure, _numbers(found))


def _sets(run: Run, n: int, seed: int) -> dict[str, Images]:
    """The run's test images, and images of no class in the same size."""
    own, _ = run.open_data("test", limit=n)
    glyphs, _ = run.open_data("train", GLYPHS, n)
    noise = np.random.default_rng(seed).integers(0, 256, (len(own), *own.shape), dtype=np.uint8)
    return {OWN: own, GLYPHS: glyphs, NOISE: Images(noise, source=NOISE)}


def _bars(axes: Axes, groups: list[str], values: dict[str, list[float]], title: str) -> None:
    for index, (kind, heights) in enumerate(values.items()):
        at = np.arange(len(groups)) + (index - 0.5) * 0.38
        bars = axes.bar(at, heights, 0.36, color=COLOURS[index], label=kind)
        axes.bar_label(bars, [f"{height:.3f}" for height in heights], fontsize=10)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(title=title, ylim=(0, 1.12))


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _numbers(found: dict[str, Record]) -> Record:
    return {
        "accuracy": {kind: found[OWN][kind]["accuracy"] for kind in KINDS},
        "probability": {
            name: {kind: round(_mean(answers[kind]["probability"]), 4) for kind in KINDS}
            for name, answers in found.items()
        },
        "unlike_any": {name: answers["generative"]["unlike_any"] for name, answers in found.items()},
        "n": {name: answers["n"] for name, answers in found.items()},
    }
