"""unnoise score."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Device, Json, SomeNumber
from unnoise.cli.output import show


def score(
    run: Path,
    images: str,
    /,
    *,
    split: str = "test",
    number: SomeNumber = None,
    seed: int = 0,
    device: Device = None,
    json: Json = False,
) -> None:
    """Rank images by how well a run explains them; the strangest come first.

    Args:
        run: The folder of a run.
        images: A source of images; they are resized to the run's shape.
        split: train or test; test falls back to train where the source has no split.
        number: At most so many images.
        seed: Of the noise.
    """
    from unnoise.evaluation import score as rank

    result = rank(run, images, split=split, n=number, seed=seed, device=device)
    errors, bits = result["denoising_error"], result["bits_per_dim"]
    order = sorted(range(len(errors)), key=lambda index: -errors[index])
    lines = ["image     denoising error   bits/dim"]
    lines += [f"{index:<9} {errors[index]:<17.5f} {bits[index]:.4f}" for index in order]
    show(result, json, lines)
