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
    "class_accuracy",
    "memorised",
    "psnr",
    "ssim",
)


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


def _lines(result: Mapping[str, Any]) -> list[str]:
    """The numbers, then what they hold for."""
    rows: list[tuple[str, str]] = []
    rows.append(("subject", f"{result['subject']}" + (f", step {result['step']}" if "step" in result else "")))
    if "fid" in result:
        low, high = result["fid_interval"]
        rows.append((result["fid_name"], f"{result['fid']:.4f} (95 % of resamples: {low:.4f} to {high:.4f})"))
    if "fid_baseline" in result:
        held = result["fid_baseline"]
        rows.append(("  held-out baseline", f"{held['value']:.4f}, which {held['n']} {held['of']} get"))
    if "fid_warning" in result:
        rows.append(("  take care", result["fid_warning"]))
    rows += [(name.replace("_", " "), f"{result[name]:.5f}") for name in NUMBERS if name in result]
    if "modes" in result:
        rows.append(("modes", _modes(result["modes"])))
    rows += [(f"bits/dim {name}", f"{value:.5f}") for name, value in result.get("bits_per_dim", {}).items()]
    if "likelihood" in result:
        rows.append(("  how", _likelihood(result["likelihood"], result["data"]["split"])))
    if "ode" in result:
        exact, how = result["bits_per_dim_ode"], result["ode"]
        rows.append(("bits/dim by ODE", f"{exact['total']:.5f} +- {exact['stderr']:.5f}"))
        rows.append(("  how", f"{how['what']}; {how['images']} images, {how['network_calls']} network calls"))
    rows += [(f"AUROC against {name}", _scores(result["ood_auroc"][name])) for name in _ood_images(result)]
    if "features" in result:
        space, reference = result["feature_space"], result["reference"]
        accuracy = f", {100 * space['accuracy']:.2f} % right on held-out images" if "accuracy" in space else ""
        rows.append(("features", f"{result['features']}: {space['version']}{accuracy}"))
        how = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result["samples"].items() if value)
        rows.append(("samples", f"{result['n']}; {how}"))
        rows.append(("reference", f"{reference['source']} ({reference['split']}), {reference['n']} images"))
    rows.append(("seconds", str(result["seconds"])))
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{text}" for name, text in rows]


def _modes(modes: Mapping[str, Any]) -> str:
    missing = f", missing {', '.join(modes['missing'])}" if modes["missing"] else ""
    kl = f"KL to the data {modes['kl']:.4f} nats (perfect samples: {modes['kl_baseline']:.4f})"
    return f"{modes['covered']} of {modes['of']}{missing}; {kl}"


def _likelihood(how: Mapping[str, Any], split: str) -> str:
    if "times" not in how:
        return f"{how['what']} of {how['of']}, {how['images']} images of the {split} split"
    times = f"{how['times']} ({how['times_per_image']} of {how['steps']})"
    return f"{how['what']}; variance {how['variance']}; {times} on each of {how['images']} images of the {split} split"


def _ood_images(result: Mapping[str, Any]) -> list[str]:
    return [name for name, value in result.get("ood_auroc", {}).items() if isinstance(value, Mapping)]


def _scores(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())
