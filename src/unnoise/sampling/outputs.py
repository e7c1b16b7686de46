"""Images to files: one grid, one array, or a folder with a picture per seed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from unnoise.data import image_grid, save_png
from unnoise.errors import UserError
from unnoise.files import write_atomic

Writer = Callable[[np.ndarray, Path], None]


def planned(out: Path, seeds: Sequence[int]) -> list[Path]:
    """The files that `write_images` makes.

    Raises:
        UserError: for a name that ends in anything but what can be written.
    """
    if out.suffix:
        _writer(out)
        return [out]
    return [out / f"{seed:06d}.png" for seed in seeds]


def write_images(images: np.ndarray, seeds: Sequence[int], out: Path) -> None:
    """Writes images (N, C, H, W) uint8, one per seed, as the ending of `out` says; without one, into a folder."""
    if out.suffix:
        _writer(out)(images, out)
        return
    for file, image in zip(planned(out, seeds), images, strict=True):
        save_png(image, file)


def seeds_text(seeds: Sequence[int]) -> str:
    """For names of files: 'seed3', 'seeds0-15'."""
    return f"seed{seeds[0]}" if len(seeds) == 1 else f"seeds{seeds[0]}-{seeds[-1]}"


def _writer(out: Path) -> Writer:
    if out.suffix.lower() not in WRITERS:
        *most, last = WRITERS
        raise UserError(f"cannot write {out}: --out takes a {', '.join(most)} or {last} file, or a folder")
    return WRITERS[out.suffix.lower()]


def _write_grid(images: np.ndarray, out: Path) -> None:
    save_png(image_grid(images), out)


def _write_npy(images: np.ndarray, out: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, images)
    write_atomic(out, stream.getvalue())


def _write_npz(images: np.ndarray, out: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, images=images)
    write_atomic(out, stream.getvalue())


WRITERS: dict[str, Writer] = {".png": _write_grid, ".gif": _write_grid, ".npy": _write_npy, ".npz": _write_npz}
"""What is written where a name ends so; a .gif is written by `unnoise.sampling.gif` where there are steps to show."""
