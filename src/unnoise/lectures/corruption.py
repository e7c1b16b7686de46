"""What noise does to the features of an autoencoder and of a denoising one."""

from __future__ import annotations

from pathlib import Path

from unnoise.data import Images
from unnoise.errors import UserError
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.objectives.reconstruction import CORRUPTIONS
from unnoise.probing.corruption import over_corruption
from unnoise.runs.run import Run
from unnoise.seeding import StepNoise

AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
TRAINED, TESTED = 5000, 2000
"""Images of the probe, at most."""


def corruption(
    run: str | Path, beside: str | Path | None = None, /, *, seed: int = 0, device: str | None = None
) -> Drawn:
    """The accuracy of a linear probe over the standard deviation of noise on the test images: of the latents of a run,
    of those of another one, and of the pixels. Every probe is trained on clean images.

    Args:
        run: an autoencoder, such as one of the recipe autoencoder.
        beside: another one of the same images, such as one of the recipe dae.
        seed: of the noise.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        UserError: for images without labels or without a test split.
    """
    runs = [Run.open(folder) for folder in (run, beside) if folder is not None]
    train, test = labelled(runs[0], TRAINED, TESTED)
    models = {**{_name(opened): opened.load(device) for opened in runs}, "pixels": None}
    lines = {name: over_corruption(model, train, test, AMOUNTS, seed=seed) for name, model in models.items()}
    figure = slide("Features under noise: a linear probe of clean images, tested on noisy ones")
    above, below = figure.subfigures(2, 1, height_ratios=(4, 1), squeeze=False).flat
    axes = above.subplots()
    for (name, accuracies), marker in zip(lines.items(), "os^", strict=False):
        axes.plot(AMOUNTS, accuracies, marker=marker, color=COLOURS[7] if name == "pixels" else None, label=name)
    axes.set(xlabel="standard deviation of the noise, pixels in [-1, 1]", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend()
    for panel, amount in zip(below.subplots(1, len(AMOUNTS)), AMOUNTS, strict=True):
        image = CORRUPTIONS["gaussian"](test.batch([0]).image, amount, StepNoise(seed))
        picture_axes(panel, ((image[0].clamp(-1, 1) + 1) * 127.5).byte().numpy(), f"{amount:g}", fontsize=11)
    return Drawn(figure, {"amounts": list(AMOUNTS), "accuracy": lines, "train": len(train), "test": len(test)})


def labelled(run: Run, most_train: int, most_test: int) -> tuple[Images, Images]:
    """The run's own images, with labels, of both splits.

    Raises:
        UserError: where there are none.
    """
    train, _ = run.open_data("train", limit=most_train)
    test, split = run.open_data("test", limit=most_test)
    if train.labels is None or split != "test":
        raise UserError(f"{train.source} needs labels and a test split for this figure")
    return train, test


def _name(run: Run) -> str:
    objective = run.config["objective"]
    noisy = objective.get("corruption", "none") != "none"
    kind = "denoising autoencoder" if noisy else run.config["model"]["kind"]
    return f"{kind} ({run.folder.resolve().name})"
