"""unnoise features."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Device, Json, Overwrite, SomeNumber
from unnoise.cli.output import command, show


def features(
    run: Path,
    data: str | None = None,
    /,
    *,
    split: str = "train",
    number: SomeNumber = None,
    out: Path | None = None,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Export what a model sees in images, and tell how far a linear classifier gets with it.

    Args:
        run: The folder of a run: an autoencoder, a VAE or a diffusion model.
        data: A source of images; by default the one the run was trained on.
        split: train or test.
        number: At most so many images.
        out: The .npz with `features` (N, D) and `labels`; by default in the run's features folder.
    """
    from unnoise.probing.linear_probe import export_features

    result = export_features(run, data, out, split=split, n=number, overwrite=overwrite, device=device)
    lines = [f"features  {result['n']} x {result['dim']} ({result['features']}) in {result['out']}"]
    if result["probe"] is not None:
        probe = result["probe"]
        lines.append(
            f"probe     {100 * probe['accuracy']:.2f} % of {probe['test']} test images right by logistic regression on "
            f"{probe['train']} features; on the pixels themselves {100 * probe['pixels']:.2f} %"
        )
    show(result, json, lines, then=f"numpy.load({str(result['out'])!r})['features'], or {command('evaluate', run)}")
