"""unnoise evaluate."""

from __future__ import annotations

from pathlib import Path

from unnoise.aliases import Record
from unnoise.cli.options import (
    Aspect,
    Device,
    Features,
    Json,
    Metrics,
    Precision,
    SamplerSpec,
    SomeNumber,
    SomeWhole,
    Whole,
)
from unnoise.cli.output import command, show


def evaluate(
    target: Path,
    /,
    *,
    data: str | None = None,
    metrics: Metrics = "fid,precision,recall,coverage",
    features: Features = None,
    number: SomeNumber = None,
    reference: str = "train",
    split: str = "test",
    sampler: SamplerSpec = None,
    steps: SomeWhole = None,
    guidance: float = 1.0,
    aspect: Aspect = None,
    precision: Precision = "auto",
    times: SomeWhole = None,
    seed: Whole = 0,
    batch_size: Whole = 256,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure a run, or images that are already there; every number says how it was made.

    A run keeps the result in its evaluations folder and shows it on its page, index.html.

    Args:
        target: The folder of a run, or a source of images.
        data: A source to measure against, or FID statistics (.npz of mu and sigma); by default the one
            the run was trained on.
        number: How many samples, and images at most whose likelihood is measured;
            by default 10,000, or as many samples as five minutes allow, at least 500; fewer only where these take more
            than half an hour, which the plan says.
        reference: The split that samples are compared with: train, as published figures, or test.
        split: The split whose likelihood is measured; test falls back to train where the source has no split, and says
            so.
        steps: The sampler's steps.
        guidance: Classifier-free guidance scale; 1 is none.
        times: Steps per image of the likelihood's sum, stratified; by default as many as a minute allows.
        seed: Sample i has seed SEED + i.
        batch_size: Images drawn at once.
    """
    from unnoise.evaluation import evaluate as measure

    result = measure(
        str(target),
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
        aspect=aspect,
    )
    show(result, json, _lines(result), then=command("compare", target))


def _lines(result: Record) -> list[str]:
    """The numbers, then what they hold for."""
    from unnoise.evaluation.summary import lines_of

    rows = lines_of(result)
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{text}" for name, text in rows]
