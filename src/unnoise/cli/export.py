"""unnoise export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import NO_GUIDANCE, GuidingOptions, Json, Overwrite, SamplerSpec
from unnoise.cli.output import show
from unnoise.cli.tables import listed


def export(
    run: Path,
    /,
    *,
    to: Annotated[str, Parameter(help=f"{listed('exports')}.")],
    out: Path,
    sampler: SamplerSpec = None,
    guide: GuidingOptions = NO_GUIDANCE,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a run in the format of another library.

    diffusers: a folder that its pipelines load. onnx, torch: graphs with a free batch size, of the denoiser, of a whole
    sampler from noise to images, and of the autoencoder where there is one. What the format cannot hold is refused, and
    the reason given; docs/interop.md lists both.

    Args:
        run: The folder of a run.
        out: The folder that is written.
    """
    from unnoise.interop.formats import export_run
    from unnoise.interop.options import ExportOptions

    options = ExportOptions(sampler, guide)
    show(export_run(run, to, out, overwrite=overwrite, options=options), json)
