"""unnoise import."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Json, SetOptions, SomeWhole
from unnoise.cli.output import command, show


def import_(
    source: Path,
    /,
    *,
    out: Path,
    data: str = "",
    size: SomeWhole = None,
    set_: SetOptions = None,
    json: Json = False,
) -> None:
    """Make a run of a model that another library trained: sample, evaluate, tune, edit and train on with it.

    Files are read as numbers and tensors only; nothing in them is ever run. docs/interop.md lists what is read.

    Args:
        source: A folder that a pipeline of diffusers was saved in, or a checkpoint of denoising-diffusion-pytorch
            (model-10.pt), improved-diffusion or guided-diffusion (ema_0.9999_100000.pt).
        out: The run's folder.
        data: The images that the model was trained on, which evaluate measures against.
        size: The side of the images, where the files do not say.
        set_: What the files do not say, by the names of the library that wrote them: noise_schedule=cosine; repeatable.
    """
    from unnoise.interop.formats import import_run
    from unnoise.runs.config import parse_overrides

    run = import_run(source, out, data=data, size=size, options=parse_overrides(set_ or []))
    result = {"run": str(run.folder), "shape": list(run.shape), "classes": len(run.classes), "from": str(source)}
    show(result, json, then=command("sample", run.folder))
