"""The formats of other libraries by name: what `unnoise export` and `unnoise import` choose from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.interop.ddpytorch_import import import_ddpytorch
from unnoise.interop.diffusers_export import export_diffusers
from unnoise.interop.diffusers_import import INDEX, import_diffusers
from unnoise.interop.guided_import import import_guided
from unnoise.interop.guided_unet import FIRST
from unnoise.interop.onnx_export import export_onnx
from unnoise.interop.options import ExportOptions
from unnoise.interop.torch_export import export_torch
from unnoise.models.tensor_files import read_torch, state_dict
from unnoise.registry import check_keys, lookup
from unnoise.runs.run import Run


class Exporter(Protocol):
    """Writes a run in a format of others; returns what it wrote and under which conditions."""

    def __call__(
        self, run: Run, out: Path, *, overwrite: bool = False, options: ExportOptions | None = None
    ) -> Record: ...


EXPORTS: dict[str, Exporter] = {"diffusers": export_diffusers, "onnx": export_onnx, "torch": export_torch}
"""Name of a format -> what writes it."""


def export_run(
    run: Run | str | Path,
    to: str,
    out: str | Path,
    *,
    overwrite: bool = False,
    options: ExportOptions | None = None,
) -> Record:
    """Writes a run in a format of another library.

    Args:
        run: it, or its folder.
        to: a name in EXPORTS.
        out: what is written.
        overwrite: whether it may replace what is there.
        options: the sampler and the guidance that a graph holds.

    Returns:
        What was written: run, out, and what the format adds.

    Raises:
        UserError: for an unknown format, and for a run that the format cannot hold.
    """
    exporter = lookup(EXPORTS, to, "format of --to")
    return exporter(Run.open(run), Path(out), overwrite=overwrite, options=options)


def import_run(
    source: str | Path,
    out: str | Path,
    *,
    data: str = "",
    size: int | None = None,
    options: Spec | None = None,
) -> Run:
    """A run of a model that another library trained, recognised by its files.

    Args:
        source: a folder of diffusers, or a file of denoising-diffusion-pytorch, improved- or guided-diffusion.
        out: the run's folder.
        data: the images that the model was trained on, where they are at hand.
        size: the side of the images, where the files do not say.
        options: what the files do not say, by the names of the library that wrote them.

    Raises:
        UserError: where nothing that can be read lies there, and for what has no counterpart.
    """
    path, out = Path(source), Path(out)
    if (path / INDEX).is_file():
        check_keys(options or {}, (), f"--set for {path}, a folder of diffusers")
        return import_diffusers(path, out, source=data, size=size)
    if not path.is_file():
        raise UserError(
            f"{path} is nothing that can be imported: neither a folder of diffusers, which holds {INDEX}, nor a "
            "checkpoint of denoising-diffusion-pytorch, improved-diffusion or guided-diffusion"
        )
    found = read_torch(path)
    if isinstance(found.get("model"), Mapping):
        return import_ddpytorch(found, path, out, source=data, size=size, options=options)
    if FIRST in found:
        weights = state_dict(found, str(path))
        return import_guided(weights, path, out, source=data, size=size, options=options)
    raise UserError(f"{path} is no checkpoint of denoising-diffusion-pytorch, improved-diffusion or guided-diffusion")
