"""The journey behind `unnoise compare`: runs, samplers and steps measured alike, in one table and on one page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.errors import UserError
from unnoise.evaluation.context import REFERENCE_MOST, Context, Settings, some_rows
from unnoise.evaluation.evaluate import measure, open_context
from unnoise.evaluation.metrics import OF_SAMPLES
from unnoise.evaluation.report import write_report
from unnoise.evaluation.target import Target, open_target
from unnoise.files import write_atomic
from unnoise.models import CanSample
from unnoise.runs.checkpoint import newest_valid
from unnoise.runtime.device import best_device
from unnoise.sampling.conditions import taken_by

SHOWN = 36
"""Samples of each row that the page shows, from the same seeds."""
SHOWN_PAIRS = 18
"""Held-out images that the page shows beside their reconstructions."""
IMAGES = 50_000
"""As many as published distances take: how long that is says more than the time for one."""
COLUMNS = (
    "fid",
    "kid",
    "inception_score",
    "precision",
    "recall",
    "density",
    "coverage",
    "class_accuracy",
    "memorised",
    "reconstruction",
)


@dataclass(frozen=True)
class Entry:
    """One row: the table's values, the whole result, the first samples (SHOWN, C, H, W), and the closest pairs with
    training images (K, 2, C, H, W), where they were looked for; held-out images with what their codes give back, alike.
    """

    row: dict[str, Any]
    result: dict[str, Any]
    samples: np.ndarray | None
    closest: np.ndarray | None
    reconstructed: np.ndarray | None
    target: Target


def compare(
    runs: Sequence[str | Path],
    *,
    steps: Sequence[int] = (),
    samplers: Sequence[str] = (),
    guidance: Sequence[float] = (),
    data: Any = None,
    metrics: Sequence[str] = ("fid", "precision", "recall", "modes", "memorised", "bpd"),
    features: str | None = None,
    n: int = 2000,
    reference: str = "train",
    seed: int = 0,
    out: str | Path = "comparison",
    device: str | None = None,
) -> dict[str, Any]:
    """Measures every run, with every sampler and number of steps, and writes OUT/results.json and OUT/report.html.

    runs: run folders, or sources of images. steps, samplers: for diffusion runs; by default each run's own; a sampler
    such as 'ddim@50' brings its own number of steps. guidance: scales of classifier-free guidance, for conditional
    runs; by default none. Metrics that a target cannot have (the likelihood of a GAN) are left out of its row as none,
    with the reason.
    Returns {table, report, results}.
    """
    if not runs:
        raise UserError("nothing to compare: give at least one run")
    settings = Settings(n, seed, reference, features, device=device or best_device())
    entries = []
    for run in runs:
        for target in _variants(run, samplers, steps, guidance, device):
            entries.append(_entry(target, data, metrics, settings, first=target.name not in _names(entries)))
    _share_likelihoods(entries)
    folder = Path(out)
    results = {"table": [entry.row for entry in entries], "results": [entry.result for entry in entries]}
    write_atomic(folder / "results.json", json.dumps(results, indent=1))
    report = write_report(entries, folder / "report.html")
    return {"table": results["table"], "report": str(report), "results": str(folder / "results.json")}


def _variants(
    run: str | Path, samplers: Sequence[str], steps: Sequence[int], guidance: Sequence[float], device: str | None
) -> Iterator[Target]:
    """The run with each sampler, number of steps and guidance scale; a target without a sampler, once."""
    plain = open_target(run, device=device)
    if plain.sampler is None:
        yield plain
        return
    for name, counts in map(_with_steps, samplers or (None,)):
        for count in counts or steps or (None,):
            options = {} if count is None else {"steps": count}
            chosen = open_target(run, sampler=name, options=options, device=device).sampler
            for scale in guidance if taken_by(plain.model) else ():
                yield replace(plain, sampler=chosen, guidance=scale)
            if not (guidance and taken_by(plain.model)):
                yield replace(plain, sampler=chosen)


def _with_steps(sampler: str | None) -> tuple[str | None, tuple[int, ...]]:
    """'ddim@50' is ('ddim', (50,)), 'ddim' is ('ddim', ())."""
    name, at, count = (sampler or "").partition("@")
    if at and not (count.isdigit() and int(count)):
        raise UserError(f"a sampler with its steps is written as ddim@50; got {sampler!r}")
    return name or None, (int(count),) if at else ()


def _entry(target: Target, data: Any, metrics: Sequence[str], settings: Settings, first: bool) -> Entry:
    """first: whether the target has no row yet; its likelihood, which no sampler changes, is measured once."""
    context, split = open_context(target, data, "test", settings)
    result: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name in metrics:
        if name not in OF_SAMPLES and not first:
            continue
        try:
            result |= measure(context, [name], split)
        except ValueError as error:
            left_out[name] = str(error)
    drawn = target.images is not None or isinstance(target.model, CanSample)
    samples = context.drawn.pixels[:SHOWN] if drawn and OF_SAMPLES & set(metrics) else None
    result["left_out"] = left_out
    pairs = np.stack(context.reconstructed, 1)[:SHOWN_PAIRS] if "reconstruction" in result else None
    return Entry(_row(target, result), result, samples, _closest(context, result), pairs, target)


def _row(target: Target, result: dict[str, Any]) -> dict[str, Any]:
    how = result.get("samples", {})
    bits = result.get("bits_per_dim")
    sampler = None if target.sampler is None else type(target.sampler).__name__
    modes, seconds = result.get("modes"), how.get("seconds_per_image")
    return {
        "run": target.name,
        "kind": "images" if target.model is None else type(target.model).__name__.lower(),
        "sampler": sampler,
        "steps": how.get("steps"),
        "guidance": how.get("guidance"),
        "features": result.get("features"),
        "n": result.get("n"),
        **{name: result.get(name) for name in COLUMNS},
        "fid_baseline": (result.get("fid_baseline") or {}).get("value"),
        "modes": None if modes is None else f"{modes['covered']}/{modes['of']}",
        "bits_per_dim": None if bits is None else bits["total"],
        "bits_of": None if bits is None else result["likelihood"].get("of", "levels"),
        "seconds_per_image": seconds,
        "seconds_50000": None if seconds is None else seconds * IMAGES,
        "network_calls": how.get("network_calls"),
        "parameters": None if target.model is None else sum(p.numel() for p in target.model.parameters()),
        "training_seconds": training_seconds(target),
    }


def training_seconds(target: Target) -> float | None:
    """How long the measured checkpoint was trained."""
    if target.run is None:
        return None
    checkpoint, _ = newest_valid(target.run.folder / "checkpoints")
    return None if checkpoint is None else checkpoint.state()["seconds"]


def _closest(context: Context, result: dict[str, Any]) -> np.ndarray | None:
    """The samples nearest to a training image beside it."""
    if "memorisation" not in result:
        return None
    rows = some_rows(context.train, REFERENCE_MOST)
    pairs = [(pair["sample"], rows[pair["training"]]) for pair in result["memorisation"]["closest"]]
    return np.stack([np.stack([context.drawn.pixels[i], context.train.pixels[j]]) for i, j in pairs])


def _share_likelihoods(entries: Sequence[Entry]) -> None:
    """A run's likelihood and reconstructions, measured in its first row, hold for its other rows."""
    for key in ("bits_per_dim", "bits_of", "reconstruction"):
        known = {entry.target.name: entry.row[key] for entry in reversed(entries)}
        for entry in entries:
            entry.row[key] = known[entry.target.name]


def _names(entries: Sequence[Entry]) -> set[str]:
    return {entry.target.name for entry in entries}
