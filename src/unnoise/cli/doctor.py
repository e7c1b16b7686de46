"""unnoise doctor."""

from __future__ import annotations

from unnoise.cli.options import Json
from unnoise.cli.output import command, show


def doctor(*, json: Json = False) -> None:
    """Tell versions, devices, what compiles and what is missing."""
    from unnoise.runtime.doctor import examine

    show(examine(), json, then=command("demo"))
