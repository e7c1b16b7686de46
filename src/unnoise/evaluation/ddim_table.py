"""The table of DDIM: distance against steps and eta, beside the paper's own (Song, Meng & Ermon 2021, table 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unnoise.errors import UserError
from unnoise.evaluation.compare import MOST
from unnoise.evaluation.entry import Result
from unnoise.evaluation.evaluate import evaluate
from unnoise.evaluation.target import Source
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import read_json
from unnoise.progress import notice
from unnoise.runs.run import Run

STEPS = (10, 20, 50, 100, 1000)
ROWS: dict[str, str] = {
    "eta = 0.0": "ddim@{}:eta=0",
    "eta = 0.2": "ddim@{}:eta=0.2",
    "eta = 0.5": "ddim@{}:eta=0.5",
    "eta = 1.0": "ddim@{}:eta=1",
    "sigma-hat": "ddpm@{}:variance=beta",
}
"""Row -> its sampler. sigma-hat = sqrt(1 - alpha_t / alpha_s) in the paper's alpha is the larger standard deviation of
Ho et al. 2020, sqrt(beta): the mean of eta = 1 with more noise."""
PUBLISHED: dict[str, tuple[float, ...]] = {
    "eta = 0.0": (13.36, 6.84, 4.67, 4.16, 4.04),
    "eta = 0.2": (14.04, 7.11, 4.77, 4.25, 4.09),
    "eta = 0.5": (16.66, 8.35, 5.25, 4.46, 4.29),
    "eta = 1.0": (41.07, 18.36, 8.01, 5.78, 4.73),
    "sigma-hat": (367.43, 133.37, 32.72, 9.99, 3.17),
}
"""FID of CIFAR-10 at STEPS, in Inception features, 50,000 samples: cited figures, of the paper's network."""
CITED = "Song, Meng & Ermon 2021, table 1: CIFAR-10, FID in Inception features, 50,000 samples (cited)"


def ddim_table(
    run: str | Path,
    *,
    steps: Sequence[int] = (),
    data: Source | None = None,
    features: str | None = None,
    n: int | None = None,
    reference: str = "train",
    seed: int = 0,
    out: str | Path | None = None,
    device: str | None = None,
) -> Result:
    """Measures the Frechet distance of a run's samples for every eta and sigma-hat at several numbers of steps.

    Every cell is kept in OUT/cells as soon as it is measured, and the same call measures only what is missing.

    Args:
        run: the folder of a diffusion run.
        steps: the columns; by default those of the paper that the run's schedule has.
        data: the source to measure against; by default the one the run was trained on.
        features: a name in FEATURES.
        n: samples of each cell; by default 2,000.
        reference: the split that samples are compared with.
        seed: of the first sample of each cell.
        out: a folder, by default ddim-table-RUN in the working folder; it gets ddim-table.json and ddim-table.md.
        device: by default the best there is.

    Returns:
        {run, fid_name, n, steps, table: [{row, sampler, fid: [...], published: [...] or None}], cited, json, markdown}.

    Raises:
        UserError: for a run that is no diffusion model, and for more steps than its schedule has.
    """
    opened, n = Run.open(run), MOST if n is None else n
    folder = Path(out or f"ddim-table-{opened.folder.resolve().name}")
    asked: Result = {**opened.weights(), "data": None if data is None else str(data), "features": features}
    asked |= {"n": n, "reference": reference, "seed": seed}
    options = {"data": data, "features": features, "n": n, "reference": reference, "seed": seed, "device": device}
    columns = _columns(opened, steps)
    cells = {
        (row, count): _cell(folder, opened, sampler.format(count), asked, options)
        for count in columns
        for row, sampler in ROWS.items()
    }
    first = next(iter(cells.values()))
    table = [
        {"row": row, "sampler": sampler, "fid": [cells[row, count]["fid"] for count in columns], **_cited(row, columns)}
        for row, sampler in ROWS.items()
    ]
    result: Result = {"run": str(opened.folder), "fid_name": first["fid_name"], "n": n, "steps": list(columns)}
    result |= {"table": table, "cited": CITED}
    files = {"json": str(folder / "ddim-table.json"), "markdown": str(folder / "ddim-table.md")}
    write_atomic(Path(files["json"]), json_text(result, indent=1))
    write_atomic(Path(files["markdown"]), "\n".join(markdown(result)) + "\n")
    return {**result, **files}


def markdown(result: Mapping[str, object]) -> list[str]:
    """The table, a row per eta, the paper's number in brackets."""
    steps, table = result["steps"], result["table"]
    assert isinstance(steps, list)
    assert isinstance(table, list)
    lines = [
        f"{result['fid_name']} of {result['run']}, {result['n']} samples; in brackets: {CITED}.",
        "",
        f"| S | {' | '.join(map(str, steps))} |",
        f"|---|{'---|' * len(steps)}",
    ]
    for row in table:
        cells = [f"{own:.2f}" + _bracket(paper) for own, paper in zip(row["fid"], row["published"], strict=True)]
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    return lines


def _bracket(paper: float | None) -> str:
    return "" if paper is None else f" ({paper:.2f})"


def _cited(row: str, columns: Sequence[int]) -> Mapping[str, list[float | None]]:
    known: dict[int, float] = dict(zip(STEPS, PUBLISHED[row], strict=True))
    return {"published": [known.get(count) for count in columns]}


def _columns(run: Run, steps: Sequence[int]) -> tuple[int, ...]:
    schedule = run.diffusion("the table of DDIM", "cpu").schedule
    native = max(STEPS) if schedule.grid is None else len(schedule.grid)
    if steps and max(steps) > native:
        raise UserError(f"{run.folder} has {native} native steps, so --steps {max(steps)} is too many")
    return tuple(steps) or tuple(count for count in STEPS if count <= native)


def _cell(folder: Path, run: Run, sampler: str, asked: Result, options: Mapping[str, object]) -> Result:
    """One distance: read where it was measured under the same conditions, else measured and kept."""
    file = folder / "cells" / f"{sampler.replace(':', '-').replace('@', '-')}.json"
    if file.is_file() and (kept := read_json(file)).get("asked") == asked:
        return kept["result"]
    notice(f"{sampler}: {options['n']} samples")
    result = evaluate(run.folder, metrics=("fid",), sampler=sampler, **options)  # type: ignore[arg-type]
    write_atomic(file, json_text({"asked": asked, "result": result}, indent=1))
    return result
