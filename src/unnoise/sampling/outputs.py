"""Images to files: one grid, one array, or a folder with a picture per seed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from unnoise.data import image_grid, save_png
from unnoise.errors import UserError
from unnoise.files import new_file

if TYPE_CHECKING:
    from unnoise.runs.run import Run

Shape = tuple[int, ...]
Writer = Callable[[Iterable[np.ndarray], Shape, Path], None]


def planned(out: Path, seeds: Sequence[int]) -> list[Path]:
    """The files that `write_images` makes.

    Raises:
        UserError: for a name that ends in anything but what can be written.
    """
    if out.suffix:
        _writer(out)
        return [out]
    return [out / f"{seed:06d}.png" for seed in seeds]


def write_images(batches: Iterable[np.ndarray], shape: Shape, seeds: Sequence[int], out: Path) -> None:
    """Writes images as the ending of `out` says; without one, into a folder.

    Args:
        batches: the images in order, uint8 (B, C, H, W) each. Arrays and folders hold one batch at a time.
        shape: (N, C, H, W) of all of them.
        seeds: one per image.
        out: a name in WRITERS, or a folder.
    """
    if out.suffix:
        _writer(out)(batches, shape, out)
        return
    files = iter(planned(out, seeds))
    for batch in batches:
        for image in batch:
            save_png(image, next(files))


def default_out(run: Run, *parts: str) -> Path:
    """Where a picture goes that nobody named: in the run's samples folder, called by what made it, the step of the
    weights included. Empty parts are left out."""
    words = [*parts, f"step{run.weights()['step']}"]
    return run.folder / "samples" / ("-".join(re.sub(r"[^\w.]+", "-", word) for word in words if word) + ".png")


def seeds_text(seeds: Sequence[int]) -> str:
    """For names of files: 'seed3', 'seeds0-15'."""
    return f"seed{seeds[0]}" if len(seeds) == 1 else f"seeds{seeds[0]}-{seeds[-1]}"


def _writer(out: Path) -> Writer:
    if out.suffix.lower() not in WRITERS:
        *most, last = WRITERS
        raise UserError(f"cannot write {out}: --out takes a {', '.join(most)} or {last} file, or a folder")
    return WRITERS[out.suffix.lower()]


def _write_grid(batches: Iterable[np.ndarray], shape: Shape, out: Path) -> None:
    save_png(image_grid(np.concatenate(list(batches))), out)


def _write_npy(batches: Iterable[np.ndarray], shape: Shape, out: Path) -> None:
    with new_file(out) as stream:
        _write_array(batches, shape, stream)


def _write_npz(batches: Iterable[np.ndarray], shape: Shape, out: Path) -> None:
    with (
        new_file(out) as stream,
        zipfile.ZipFile(stream, "w") as archive,
        archive.open(zipfile.ZipInfo("images.npy"), "w", force_zip64=True) as entry,
    ):
        _write_array(batches, shape, entry)


def _write_array(batches: Iterable[np.ndarray], shape: Shape, stream: IO[bytes]) -> None:
    """The array (N, *) uint8 in numpy's format, from its batches one after the other."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    for batch in batches:
        stream.write(np.ascontiguousarray(batch).data)


WRITERS: dict[str, Writer] = {".png": _write_grid, ".gif": _write_grid, ".npy": _write_npy, ".npz": _write_npz}
"""What is written where a name ends so; a .gif is written by `unnoise.sampling.gif` where there are steps to show."""
