"""unnoise compare."""

from __future__ import annotations

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
    lines = [", ".join(f"{k} {_short(v)}" for k, v in row.items() if v is not None) for row in result["table"]]
    show(result, json, [*lines, f"report  {result['report']}"])


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
