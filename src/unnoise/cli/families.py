"""unnoise families."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import Device, Features, Json, Number, SetOptions, Whole
from unnoise.cli.output import show
from unnoise.cli.tables import listed


def families(
    source: str,
    *,
    minutes: float = 4.0,
    only: Annotated[
        str, Parameter(help=f"Comma-separated, of {listed('families')}; by default all that these images allow.")
    ] = "",
    short: float = 0.0,
    few: Whole = 300,
    number: Number = 1000,
    features: Features = None,
    seed: Whole = 0,
    set_: SetOptions = None,
    out: Path = Path("runs/families"),
    device: Device = None,
    json: Json = False,
) -> None:
    """Train every family for the same time on the same images, and measure all alike: one table, a picture of each, one
    page. The same command goes on where it stopped.

    Args:
        source: Images, as `unnoise train` takes them.
        minutes: Of each training.
        short: Minutes of each training for stability, three seeds and three learning rates of four families; 0: none.
        few: Samples of each training for stability.
        number: Samples of each family.
        seed: Of trainings and samples.
        set_: KEY=VALUE, set in every recipe, such as train.batch_size=32. Repeatable.
        out: The folder of the runs and of report.html, families.md, families.json and NAME.png per family.
    """
    from unnoise.families import families as compare_families
    from unnoise.families.families import lines
    from unnoise.runs.config import parse_overrides

    result = compare_families(
        source,
        minutes=minutes,
        only=[name.strip() for name in only.split(",") if name.strip()],
        short=short,
        few=few,
        n=number,
        features=features,
        seed=seed,
        overrides=parse_overrides(set_ or []),
        out=out,
        device=device,
    )
    show(result, json, lines(result), then=f"open {result['report']} in a browser")
