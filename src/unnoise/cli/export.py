"""unnoise export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import Json, Overwrite
from unnoise.cli.output import show
from unnoise.cli.tables import listed


def export(
    run: Path,
    /,
    *,
    to: Annotated[str, Parameter(help=f"{listed('exports')}.")],
    out: Path,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a run in the format of another library.

    What the format cannot hold is refused, and the reason given; docs/interop.md lists both.

    Args:
        run: The folder of a run.
        out: The folder that is written.
    """
    from unnoise.interop.formats import export_run

    show(export_run(run, to, out, overwrite=overwrite), json)
