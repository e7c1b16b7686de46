"""What `unnoise families` does: train, measure, and write one table, a picture per family and one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from unnoise.aliases import Record, Spec
from unnoise.data import save_png
from unnoise.errors import TrainingDiverged, UserError
from unnoise.evaluation import compare
from unnoise.families.stability import STABILITY_COLUMNS, stability, stability_rows
from unnoise.families.table import FAMILIES, Family
from unnoise.features import FEATURES
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import MOST_RESULT_BYTES, read_json
from unnoise.progress import notice
from unnoise.registry import lookup
from unnoise.runs.run import Run
from unnoise.training.distill import distill
from unnoise.training.previews import preview, preview_rows
from unnoise.training.train import train

METRICS = ("fid", "precision", "recall", "coverage", "modes", "memorised", "bpd", "reconstruction")
KEYS = ("fid", "precision", "recall", "coverage", "modes", "memorised", "bits_per_dim", "bits_of", "reconstruction")
COST = ("network_calls", "seconds_50000", "parameters")
SHOWN = 36
"""Images in the picture of a family."""


def families(
    source: str | Path,
    *,
    minutes: float = 4.0,
    only: Sequence[str] = (),
    short: float = 0.0,
    few: int = 300,
    n: int = 1000,
    features: str | None = None,
    seed: int = 0,
    overrides: Spec | None = None,
    out: str | Path = "runs/families",
    device: str | None = None,
) -> Record:
    """Trains every family for the same time on the same images and measures all of them alike.

    The same call resumes: trainings go on where they stopped, and what was measured of the same weights stays. A latent
    diffusion model and its autoencoder have half of the time each, and so have a student and its teacher.

    Args:
        source: the images, see `unnoise.open_source`.
        minutes: of each training.
        only: names in FAMILIES; by default all.
        short: minutes of each training for stability: three seeds and three learning rates; 0 for none.
        few: samples of each training for stability.
        n: samples of each family.
        features: a name in FEATURES.
        seed: of trainings and samples.
        overrides: dotted keys, set in every recipe, such as {'train.batch_size': 32}.
        out: the folder of the runs, of families.json, families.md, report.html and NAME.png per family.
        device: by default the best there is.

    Returns:
        {minutes, n, table, diverged, stability, pictures, report, results, markdown}, diverged: family -> why.

    Raises:
        UserError: for an unknown family, for images that a family cannot be trained on, and where all diverged.
    """
    folder = Path(out)
    if features is not None:
        lookup(FEATURES, features, "feature space")
    chosen = {name: lookup(FAMILIES, name, "family") for name in only or FAMILIES}
    runs, diverged = _trained(source, chosen, folder, minutes, seed, overrides or {}, device)
    if not runs:
        raise UserError(f"nothing to measure: {'; '.join(diverged.values())}")
    asked = {"n": n, "features": features, "seed": seed, "runs": [[str(run.folder), run.weights()] for run in runs]}
    found = _measured(runs, asked, folder, device)
    result: Record = {"source": str(source), "minutes": minutes, "n": n, **found, "diverged": diverged}
    result["pictures"] = [_picture(run, folder, device) for run in runs]
    if short:
        names = [name for name, family in chosen.items() if family.short and name not in diverged]
        result["stability"] = stability(source, names, folder, minutes=short, n=few, overrides=overrides or {})
    files = {"results": str(folder / "families.json"), "markdown": str(folder / "families.md")}
    write_atomic(Path(files["results"]), json_text({**result, "asked": asked}, indent=1))
    write_atomic(Path(files["markdown"]), "\n".join(lines(result)) + "\n")
    return {**result, **files}


def lines(result: Record) -> list[str]:
    """The tables, as Markdown."""
    keys = (*KEYS, *COST)
    text = [f"{result['source']}: {result['minutes']:g} minutes of training each, {result['n']} samples of each.", ""]
    text += [f"| family | sampler | {' | '.join(keys)} |", f"|{'---|' * (len(keys) + 2)}"]
    for row in result["table"]:
        sampler = f"{row['sampler']}, {row['steps']}" if row["sampler"] else ""
        text.append(f"| {Path(row['run']).name} | {sampler} | {' | '.join(_cell(row.get(key)) for key in keys)} |")
    text += [f"\n{name} diverged: {reason}" for name, reason in result["diverged"].items()]
    if "stability" in result:
        text += ["", f"| {' | '.join(STABILITY_COLUMNS)} |", f"|{'---|' * len(STABILITY_COLUMNS)}"]
        text += [f"| {' | '.join(cells)} |" for cells in stability_rows(result["stability"])]
    return text


def _trained(
    source: str | Path,
    chosen: dict[str, Family],
    folder: Path,
    minutes: float,
    seed: int,
    overrides: Spec,
    device: str | None,
) -> tuple[list[Run], dict[str, str]]:
    """The runs, and what went wrong with those that diverged: that is a result too."""
    runs: list[Run] = []
    diverged: dict[str, str] = {}
    for name, family in chosen.items():
        notice(f"{name}: {minutes:g} minutes")
        try:
            runs.append(_train(source, folder / name, family, minutes, seed, overrides, device))
        except TrainingDiverged as error:
            diverged[name] = str(error)
            notice(f"{name} diverged: {error}")
    return runs, diverged


def _train(
    source: str | Path,
    folder: Path,
    family: Family,
    minutes: float,
    seed: int,
    overrides: Spec,
    device: str | None,
) -> Run:
    changes = {**family.overrides, **overrides}
    if family.autoencoder is not None:
        minutes /= 2
        first = folder.with_name(f"{folder.name}-autoencoder")
        train(source, family.autoencoder, first, minutes=minutes, seed=seed, overrides=overrides, device=device)
        changes["model.codec.run"] = str(first.resolve())
    if family.student is not None:
        teacher = folder.with_name(f"{folder.name}-teacher")
        train(source, family.recipe, teacher, minutes=minutes / 2, seed=seed, overrides=changes, device=device)
        return distill(teacher, family.student, folder, None, minutes / 2, seed, overrides, device=device)
    return train(source, family.recipe, folder, minutes=minutes, seed=seed, overrides=changes, device=device)


def _measured(runs: Sequence[Run], asked: Record, folder: Path, device: str | None) -> Record:
    """The table and its page, which stay where the same weights were measured before."""
    file = folder / "families.json"
    asked = json.loads(json.dumps(asked))
    if file.is_file() and (known := read_json(file, MOST_RESULT_BYTES)).get("asked") == asked:
        return {"table": known["table"], "report": known["report"]}
    found = compare(
        [run.folder for run in runs],
        metrics=METRICS,
        n=asked["n"],
        features=asked["features"],
        seed=asked["seed"],
        out=folder,
        device=device,
    )
    return {"table": found["table"], "report": found["report"]}


def _picture(run: Run, folder: Path, device: str | None) -> str:
    """OUT/NAME.png: images from seeds 0, 1, ..., or images beside their reconstructions where none can be drawn."""
    file = folder / f"{run.folder.name}.png"
    model = run.load(device)
    images, _ = run.open_data("test")
    batch = images.batch(preview_rows(images, SHOWN), model.device)
    save_png(preview(model, batch, run.sampler() if "sampler" in run.config else None).picture, file)
    return str(file)


def _cell(value: object) -> str:
    return "none" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
