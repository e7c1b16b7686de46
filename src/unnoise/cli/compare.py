"""unnoise compare."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def compare(
    *runs: Path,
    steps: str = "",
    samplers: str = "",
    guidance: str = "",
    data: str | None = None,
    metrics: str = "fid,precision,recall,modes,memorised,bpd",
    features: str | None = None,
    number: Annotated[int, Parameter(name=["--number", "-n"])] = 2000,
    reference: str = "train",
    seed: int = 0,
    out: Path = Path("comparison"),
    device: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure runs alike and write one page about them: OUT/report.html, and OUT/results.json.

    Parameters
    ----------
    runs
        Folders of runs, or sources of images.
    steps
        Comma-separated numbers of steps for diffusion runs: 5,10,20,50; by default each run's own.
    samplers
        Comma-separated samplers for diffusion runs: ddpm,ddim, or with their steps: ddpm@1000,ddim@50; by default
        each run's own.
    guidance
        Comma-separated scales of classifier-free guidance for conditional runs: 1,2,4; by default none.
    data
        The source to measure against; by default the one each run was trained on.
    metrics
        As for `unnoise evaluate`; what a run cannot have is left out of its row, with the reason.
    features
        As for `unnoise evaluate`.
    number
        How many samples of each.
    reference
        The split that samples are held against.
    seed
        Sample i has seed SEED + i, for every run.
    out
        The folder of the page.
    device
        cpu, cuda, mps; by default the best there is.
    json
        One JSON object on standard output.
    """
    from unnoise.evaluation import compare as measure

    result = measure(
        runs,
        steps=[int(count) for count in _split(steps)],
        samplers=_split(samplers),
        guidance=[float(scale) for scale in _split(guidance)],
        data=data,
        metrics=_split(metrics),
        features=features,
        n=number,
        reference=reference,
        seed=seed,
        out=out,
        device=device,
    )
    show(result, json, [] if json else [*_table(Path(result["results"])), f"report  {result['report']}"])


def _table(results: Path) -> list[str]:
    """The rows in columns, the text of the first to the left and numbers to the right."""
    from unnoise.evaluation.table import shown

    measured = loads(results.read_text())
    headings, cells = shown(measured["table"], measured["results"])
    rows = [headings, *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
