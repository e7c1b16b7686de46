"""What a trained encoder saves in labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from unnoise.data import Images
from unnoise.lectures.corruption import labelled
from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.models import ImageModel
from unnoise.probing.label_curve import balanced, fine_tuned_accuracy, fitting
from unnoise.probing.linear_probe import features_of, fitted_probe
from unnoise.runs.run import Run
from unnoise.seeding import fold

COUNTS = (10, 30, 100, 300, 1000, 3000)
SEEDS = 3
STEPS = 200
TRAINED, TESTED = 10_000, 1000
STARTS = ("trained encoder, frozen", "trained encoder, fine-tuned", "from scratch")


def labels(run: str | Path, /, *, seed: int = 0, steps: int = STEPS, device: str | None = None) -> Drawn:
    """Accuracy over the number of labels of a classifier that begins with a run's encoder, frozen under a linear one or
    fine-tuned, and of the same network from scratch: mean and range of three draws of the labelled images.

    The encoder was trained on all images without their labels, so it has seen what the classifier from scratch has not:
    semi-supervised learning.

    Args:
        run: an autoencoder, a VAE, or a diffusion model with a U-Net.
        seed: of the first draw; the others follow.
        steps: training steps of every classifier.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        UserError: for images without labels or without a test split.
        NotApplicable: for a run that encodes nothing.
    """
    opened = Run.open(run)
    train, test = labelled(opened, TRAINED, TESTED)
    counts = fitting(COUNTS, train)
    found = np.array(
        [
            [
                _accuracies(opened, balanced(train, count, draw), test, draw, steps, device)
                for draw in range(seed, seed + SEEDS)
            ]
            for count in counts
        ]
    )
    figure = slide(f"What the encoder of {opened.folder.resolve().name} saves in labels")
    axes = figure.subplots()
    for index, (name, colour) in enumerate(zip(STARTS, COLOURS, strict=False)):
        of_start = found[:, :, index]
        axes.plot(counts, of_start.mean(1), "o-", color=colour, label=name)
        axes.fill_between(counts, of_start.min(1), of_start.max(1), color=colour, alpha=0.2)
    axes.set(xscale="log", xlabel="labelled images", ylabel=f"accuracy on {len(test):,} test images")
    axes.set_ylim(max(0.0, float(found.min()) - 0.05), 1.02)
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.minorticks_off()
    axes.legend(loc="lower right")
    means = {name: found[:, :, index].mean(1).round(4).tolist() for index, name in enumerate(STARTS)}
    return Drawn(figure, {"labels": counts, **means, "seeds": SEEDS, "steps": steps, "test": len(test)})


def _accuracies(
    run: Run, few: Images, test: Images, seed: int, steps: int, device: str | None
) -> tuple[float, float, float]:
    """One for each of STARTS."""
    trained = run.load(device)
    probe = fitted_probe(features_of(trained, few), np.asarray(few.labels))
    frozen = float(probe.score(features_of(trained, test), np.asarray(test.labels)))
    tuned, scratch = (
        fine_tuned_accuracy(model, few, test, len(run.classes), steps=steps, seed=seed)
        for model in (trained, _untrained(run, seed, device))
    )
    return frozen, tuned, scratch


def _untrained(run: Run, seed: int, device: str | None) -> ImageModel:
    trained = run.load(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed))
        return run.model().to(trained.device)
