"""unnoise evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unnoise.cli.output import show

NUMBERS = (
    "kid",
    "inception_score",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorised",
)


def evaluate(
    subject: Path,
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
    subject
        The folder of a run, or a source of images.
    data
        A source to measure against; by default the one the run was trained on.
    metrics
        Comma-separated: fid, kid, inception_score, precision, recall, density, coverage, modes (classes covered),
        memorised (share of copies), bpd (bits per dimension), strangers (which images the likelihood rejects).
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
        subject,
        data,
        tuple(name.strip() for name in metrics.split(",")),
        features,
        number,
        reference=reference,
        split=split,
        sampler=sampler,
        options={} if steps is None else {"steps": steps},
        guidance=guidance,
        times=times,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    show(result, json, _lines(result))


def _lines(result: Mapping[str, Any]) -> list[str]:
    """The numbers, then what they hold for."""
    lines = [f"subject      {result['subject']}" + (f", step {result['step']}" if "step" in result else "")]
    if "fid" in result:
        low, high = result["fid_interval"]
        lines.append(f"{result['fid_name']}  {result['fid']:.4f}   95 % of resamples: {low:.4f} to {high:.4f}")
    if "fid_floor" in result:
        floor = result["fid_floor"]
        lines.append(f"  floor      {floor['value']:.4f}, which {floor['n']} {floor['of']} get")
    if "fid_warning" in result:
        lines.append(f"  take care  {result['fid_warning']}")
    lines += [f"{name:<16} {result[name]:.5f}" for name in NUMBERS if name in result]
    if "modes" in result:
        modes = result["modes"]
        missing = f", missing {', '.join(modes['missing'])}" if modes["missing"] else ""
        lines.append(
            f"modes            {modes['covered']} of {modes['of']}{missing}; KL to the data {modes['kl']:.4f} nats"
        )
    lines += [f"{name:<12} {value:.5f} bits/dim" for name, value in result.get("bits_per_dim", {}).items()]
    if "likelihood" in result:
        how = result["likelihood"]
        lines.append(
            f"  {how['what']}; variance {how['variance']}; {how['times']} ({how['times_per_image']} of {how['steps']}) "
            f"on each of {how['images']} images of the {result['data']['split']} split"
        )
    for name in ("glyphs", "noise"):
        if name in result.get("told_apart", {}):
            scores = ", ".join(
                f"{key.replace('_', ' ')} {value:.3f}" for key, value in result["told_apart"][name].items()
            )
            lines.append(f"told apart from {name:<7} AUROC: {scores}")
    if "features" in result:
        held, how = result["reference"], result["samples"]
        lines.append(f"features     {result['features']} ({result['feature_space']['version']})")
        lines.append(f"samples      {result['n']}, {', '.join(f'{k} {v}' for k, v in how.items() if v is not None)}")
        lines.append(f"reference    {held['source']} ({held['split']}), {held['n']} images")
    return [*lines, f"seconds      {result['seconds']}"]
