"""The pictures that a training leaves in its run: STEP.png each, in folders by what they show."""

from __future__ import annotations

from pathlib import Path

SAMPLES = "samples"
"""The folder of grids of samples, or of reconstructions."""
REAL_IMAGES = "real-images.png"
"""Among them: as many real images, in the same order."""
COPIES = "copies"
"""The folder of pictures of samples, each beside the training image that it is most like."""


def drawn(folder: Path, kind: str = SAMPLES) -> list[int]:
    """The steps at which a run's pictures of a kind were drawn, rising."""
    return sorted(int(file.stem) for file in (folder / kind).glob("*.png") if _is_step(file.stem))


def picture_file(folder: Path, step: int, kind: str = SAMPLES) -> Path:
    """The picture of a kind that a run drew at a step."""
    return folder / kind / f"{step}.png"


def real_images_file(folder: Path) -> Path:
    """The picture of the real images beside a run's samples."""
    return folder / SAMPLES / REAL_IMAGES


def _is_step(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and len(stem) < 16
