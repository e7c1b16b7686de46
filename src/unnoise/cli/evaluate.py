"""unnoise evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unnoise.cli.output import show


def evaluate(
    target: Path,
    /,
    *,
    data: str | None = None,
    metrics: str = "fid,precision,recall,coverage",
    features: str | None = None,
    number: Annotated[int, Parameter(name=["--number", "-n"])] = 10_000,
    reference: str = "train",
    split: str = "test",
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float = 1.0,
    precision: str = "auto",
    times: int | None = None,
    seed: int = 0,
    batch_size: int = 256,
    device: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure a run, or images that are already there; every number says how it was made.

    A run keeps the result in its evaluations folder.

    Parameters
    ----------
    target
        The folder of a run, or a source of images.
    data
        A source to measure against; by default the one the run was trained on.
    metrics
        Comma-separated. Of samples: fid, kid, inception_score, precision, recall, density, coverage, modes (classes
        covered), class_accuracy (of a class-conditional run), memorised (share of copies). Of restored images, against
        their originals: psnr, ssim. Of a model: bpd (bits per dimension: the variational bound), ode (the likelihood by
        the probability-flow ODE), ood_auroc (which images the likelihood rejects).
    features
        classifier (trained on the labelled data, once), imagenet, inception, dino or pixels; by default classifier
        where there are labels, else imagenet.
    number
        How many samples, and images at most whose likelihood is measured.
    reference
        The split that samples are held against: train, as published figures, or test.
    split
        The split whose likelihood is measured; test falls back to train where the source has no split, and says so.
    sampler
        By default the run's own.
    steps
        The sampler's steps.
    guidance
        Classifier-free guidance scale; 1 is none.
    precision
        auto (bf16 where the hardware has it, as in training), fp32 or bf16.
    times
        Steps per image of the likelihood's sum, stratified; by default as many as a minute allows.
    seed
        Sample i has seed SEED + i.
    batch_size
        Images drawn at once.
    device
        cpu, cuda, mps; by default the best there is.
    json
        One JSON object on standard output.
    """
    from unnoise.evaluation import evaluate as measure

    result = measure(
        target,
        data,
        tuple(name.strip() for name in metrics.split(",")),
        features,
        number,
        reference=reference,
        split=split,
        sampler=sampler,
        options={} if steps is None else {"steps": steps},
        guidance=guidance,
        precision=precision,
        times=times,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    show(result, json, _lines(result))


def _lines(result: dict[str, Any]) -> list[str]:
    """The numbers, then what they hold for."""
    from unnoise.evaluation.summary import lines_of

    rows = lines_of(result)
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{text}" for name, text in rows]
