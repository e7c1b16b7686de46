"""unnoise sample."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import (
    NO_CONDITIONS,
    NO_GUIDANCE,
    Aspect,
    Compile,
    ConditionOptions,
    Device,
    Grid,
    GuidingOptions,
    Json,
    Number,
    Overwrite,
    Precision,
    SamplerSpec,
    SomeWhole,
    Whole,
)
from unnoise.cli.output import command, show


def sample(
    run: Path,
    /,
    *,
    number: Number = 16,
    sampler: SamplerSpec = None,
    steps: SomeWhole = None,
    eta: float | None = None,
    grid: Grid = None,
    seed: Whole = 0,
    conditions: ConditionOptions = NO_CONDITIONS,
    guide: GuidingOptions = NO_GUIDANCE,
    then: list[Path] | None = None,
    aspect: Aspect = None,
    precision: Precision = "auto",
    compile: Compile = "auto",
    batch_size: SomeWhole = None,
    out: Path | None = None,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Generate images with a trained run.

    Args:
        run: The folder of a run.
        number: How many images.
        steps: Steps of the sampler; most call the network once in each.
        eta: DDIM's noise: 0 deterministic, 1 as much as DDPM.
        seed: Image i has seed SEED + i: the same picture whatever the batch.
        then: A run of the recipe sr that enlarges the images; may be given several times: a cascade. Label, prompt
            and guidance go to every run that takes them.
        batch_size: Images generated at once, by default as many as fit; it changes speed and memory, not the pictures.
        out: A .png (one grid), a .gif (the grid, step by step), an .npy or .npz (uint8, N x C x H x W), or a folder
            (one .png per image, numbered by its seed); by default a grid in the run's samples folder, named by what
            made it.
    """
    from unnoise.sampling.generate import generate

    options = {"steps": steps, "eta": eta, "grid": grid}
    result = generate(
        run,
        range(seed, seed + number),
        sampler=sampler,
        options={name: value for name, value in options.items() if value is not None},
        conditions=conditions,
        guidance=guide,
        then=then or (),
        aspect=aspect,
        precision=precision,
        compile=compile,
        batch_size=batch_size,
        out=out,
        overwrite=overwrite,
        device=device,
    )
    show(result, json, then=command("evaluate", run))
