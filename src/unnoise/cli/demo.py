"""unnoise demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def demo(
    *,
    out: Path = Path("runs/demo"),
    minutes: float = 2.0,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train on real handwritten digits, draw new ones and write a page about it.

    Parameters
    ----------
    out
        The run's folder; the page is index.html in it. The same command again resumes.
    minutes
        How long to train.
    seed
        Everything random follows from it.
    json
        One JSON object on standard output.
    """
    from unnoise.demo import run_demo

    show(run_demo(out, minutes, seed), json)
