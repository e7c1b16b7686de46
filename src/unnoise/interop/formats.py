"""The formats of other libraries by name: what `unnoise export` and `unnoise import` choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.interop.diffusers_export import export_diffusers
from unnoise.interop.diffusers_import import INDEX, import_diffusers
from unnoise.registry import lookup
from unnoise.runs.run import Run


class Exporter(Protocol):
    def __call__(self, run: Run, out: Path, *, overwrite: bool = False) -> Record: ...


EXPORTS: dict[str, Exporter] = {"diffusers": export_diffusers}
"""Name of a format -> what writes it."""


def export_run(run: Run | str | Path, to: str, out: str | Path, *, overwrite: bool = False) -> Record:
    """Writes a run in a format of another library.

    Args:
        run: it, or its folder.
        to: a name in EXPORTS.
        out: what is written.
        overwrite: whether it may replace what is there.

    Returns:
        What was written: run, out, and what the format adds.

    Raises:
        UserError: for an unknown format, and for a run that the format cannot hold.
    """
    return lookup(EXPORTS, to, "format of --to")(Run.open(run), Path(out), overwrite=overwrite)


def import_run(source: str | Path, out: str | Path, *, data: str = "", size: int | None = None) -> Run:
    """A run of a model that another library trained, recognised by its files.

    Args:
        source: a folder of diffusers.
        out: the run's folder.
        data: the images that the model was trained on, where they are at hand.
        size: the side of the images, where the files do not say.

    Raises:
        UserError: where nothing that can be read lies there, and for what has no counterpart.
    """
    folder = Path(source)
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder} is nothing that can be imported: a folder of diffusers holds {INDEX}")
    return import_diffusers(folder, out, source=data, size=size)
