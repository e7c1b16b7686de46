"""unnoise doctor."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def doctor(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Tell versions, devices, what compiles and what is missing.

    Parameters
    ----------
    json
        One JSON object on standard output.
    """
    from unnoise.runtime.doctor import examine

    show(examine(), json)
