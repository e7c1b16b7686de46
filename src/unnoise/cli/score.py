"""unnoise score."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Device, Json, Overwrite, SomeNumber, Whole
from unnoise.cli.output import command, show


def score(
    run: Path,
    images: str,
    /,
    *,
    split: str = "test",
    number: SomeNumber = None,
    classify: bool = False,
    seed: Whole = 0,
    out: Path = Path("scores.png"),
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Rank images by how well a run explains them; the least likely come first. Or tell their classes by it.

    Args:
        run: The folder of a run.
        images: A source of images; they are resized to the run's shape.
        split: train or test; test falls back to train where the source has no split.
        number: At most so many images.
        classify: Of a class-conditional run: p(class | image) by Bayes' rule, beside a discriminative classifier.
        seed: Of the noise.
        out: A PNG of the images that are explained worst, in order.
    """
    if classify:
        _classify(run, images, split, number, seed, device, json)
        return
    from unnoise.evaluation import score as rank
    from unnoise.files import claim

    claim(out, overwrite=overwrite)
    result = rank(run, images, split=split, n=number, seed=seed, out=out, device=device)
    errors, bits = result["denoising_error"], result["bits_per_dim"]
    order = sorted(range(len(errors)), key=lambda index: -errors[index])
    names = result["names"] or [str(index) for index in range(len(errors))]
    width = max(len("image"), *map(len, names)) + 2
    lines = [f"{'image':<{width}}denoising error   bits/dim"]
    lines += [f"{names[index]:<{width}}{errors[index]:<17.5f} {bits[index]:.4f}" for index in order]
    show(result, json, [*lines, f"sheet  {out}"], then=command("evaluate", run, "--metrics", "ood_auroc"))


def _classify(
    run: Path, images: str, split: str, number: int | None, seed: int, device: str | None, json: bool
) -> None:
    from unnoise.probing.classify import classify

    result = classify(run, images, split=split, n=number, seed=seed, device=device)
    kinds, names = ("generative", "discriminative"), result["classes"]
    lines = [f"image     {'generative':<22} {'discriminative':<22} error"]
    for index, error in enumerate(result["generative"]["error"]):
        answers = [
            f"{names[result[kind]['predicted'][index]]} ({result[kind]['probability'][index]:.3f})" for kind in kinds
        ]
        lines.append(f"{index:<9} {answers[0]:<22} {answers[1]:<22} {error:.2f}")
    for kind in kinds:
        accuracy = result[kind]["accuracy"]
        lines.append(f"{kind:<15} {'no labels to compare with' if accuracy is None else f'{accuracy:.1%} right'}")
    lines.append(f"unlike any class, says the generative one: {result['generative']['unlike_any']:.1%}")
    show(result, json, lines)
