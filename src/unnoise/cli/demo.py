"""unnoise demo."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Json, Whole
from unnoise.cli.output import show


def demo(
    *,
    out: Path = Path("runs/demo"),
    minutes: float = 2.0,
    seed: Whole = 0,
    json: Json = False,
) -> None:
    """Train on real handwritten digits, draw new ones and write a page about it.

    Args:
        out: The run's folder; the page is index.html in it. The same command again resumes.
        minutes: How long to train.
        seed: Everything random follows from it.
    """
    from unnoise.demo import run_demo

    show(
        run_demo(out, minutes, seed),
        json,
        then=f"open {out / 'index.html'} in a browser, or look closer: unnoise studio {out.parent}",
    )
