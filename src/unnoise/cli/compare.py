"""unnoise compare."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from pathlib import Path
from typing import Any, Literal, TypeVar

from unnoise.cli.options import Device, Features, Json, Metrics, Overwrite, Samplers, SomeNumber, Whole
from unnoise.cli.output import show

N = TypeVar("N", int, float)


def compare(
    *runs: Path,
    steps: str = "",
    samplers: Samplers = "",
    guidance: str = "",
    data: str | None = None,
    metrics: Metrics = "fid,precision,recall,modes,memorised,bpd",
    features: Features = None,
    number: SomeNumber = None,
    reference: str = "train",
    seed: Whole = 0,
    table: Literal["ddim"] | None = None,
    out: Path | None = None,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure runs alike and write one page about them: OUT/report.html, OUT/results.json and OUT/samples.png.

    Args:
        runs: Folders of runs, or sources of images.
        steps: Comma-separated numbers of steps for diffusion runs: 5,10,20,50; by default each run's own.
        guidance: Comma-separated scales of classifier-free guidance for conditional runs: 1,2,4; by default none.
        data: The source to measure against; by default the one each run was trained on.
        number: How many samples of each; by default 2,000, or as many as five minutes allow for all rows together, at
            least 500; fewer only where these take more than half an hour, which the plan says.
        reference: The split that samples are compared with.
        seed: Sample i has seed SEED + i, for every run.
        table: ddim: of one run, the distance against steps x eta and sigma-hat, beside the rows of Song et al. 2021;
            what was measured is kept, and the same command goes on.
        out: The folder of the page; by default comparison-RUN-RUN... in the working folder.
    """
    if table is not None:
        _ddim_table(
            runs,
            json,
            steps=_numbers(int, steps, "--steps"),
            data=data,
            features=features,
            n=number,
            reference=reference,
            seed=seed,
            out=out,
            device=device,
        )
        return
    from unnoise.evaluation import compare as measure
    from unnoise.files import claim
    from unnoise.samplers.spec import split_samplers

    out = out or Path("-".join(["comparison", *(run.resolve().name for run in runs)])[:100])
    for file in ("report.html", "results.json", "samples.png"):
        claim(out / file, overwrite=overwrite)

    result = measure(
        [str(run) for run in runs],
        steps=_numbers(int, steps, "--steps"),
        samplers=split_samplers(samplers),
        guidance=_numbers(float, guidance, "--guidance"),
        data=data,
        metrics=_split(metrics),
        features=features,
        n=number,
        reference=reference,
        seed=seed,
        out=out,
        device=device,
    )
    lines = [] if json else [*_table(Path(result["results"]))]
    show(result, json, lines, then=f"open {result['report']} in a browser")


def _ddim_table(runs: Sequence[Path], json: bool, **options: Any) -> None:
    from unnoise.errors import UserError
    from unnoise.evaluation.ddim_table import ddim_table, markdown

    if len(runs) != 1:
        raise UserError(f"--table ddim is of one run, got {len(runs)}")
    result = ddim_table(runs[0], **options)
    show(result, json, markdown(result))


def _table(results: Path) -> list[str]:
    """The rows in columns, the text of the first to the left and numbers to the right."""
    from unnoise.evaluation.table import shown

    measured = loads(results.read_text())
    headings, cells = shown(measured["table"], measured["results"])
    rows = [headings, *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _numbers(kind: type[N], text: str, option: str) -> list[N]:
    from unnoise.errors import UserError

    try:
        return [kind(part) for part in _split(text)]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{option} takes {what} with commas between them, such as 1,2,4; got {text!r}") from None


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
