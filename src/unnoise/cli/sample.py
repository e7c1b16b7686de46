"""unnoise sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def sample(
    run: Path,
    /,
    *,
    number: Annotated[int, Parameter(name=["--number", "-n"])] = 16,
    sampler: str | None = None,
    steps: int | None = None,
    eta: float | None = None,
    grid: str | None = None,
    seed: int = 0,
    label: str | None = None,
    prompt: str | None = None,
    map_: Annotated[Path | None, Parameter(name="--map")] = None,
    image: Path | None = None,
    vector: Path | None = None,
    guidance: float = 1.0,
    classifier: Path | None = None,
    worse: Path | None = None,
    interval: tuple[float, float] | None = None,
    then: list[Path] | None = None,
    precision: str = "auto",
    compile: str = "auto",
    batch_size: int | None = None,
    out: Path | None = None,
    device: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw images from a trained run.

    Parameters
    ----------
    run
        The folder of a run.
    number
        How many images.
    sampler
        ddpm, ddim, euler, heun, dpm-solver++, unipc and others (see docs/samplers.md); by default the recipe's.
    steps
        Network evaluations per image.
    eta
        DDIM's noise: 0 deterministic, 1 as much as DDPM.
    grid
        Which times are visited: trailing, uniform, quadratic, karras, log-snr.
    seed
        Image i has seed SEED + i: the same picture whatever the batch.
    label
        A class, by name or number, of a class-conditional run.
    prompt
        A text, of a run trained on captions.
    map_
        A PNG whose pixels are class numbers, of a run trained on segmentation maps.
    image
        A picture of low resolution, of a run trained to enlarge.
    vector
        An .npy with one row of numbers for all images, or a row for each, of a run trained on vectors.
    guidance
        The scale of guidance: classifier-free with a --label or a --prompt (1 is none), or by one of the next two.
    classifier
        A run of the recipe classifier: classifier guidance of an unconditional run towards --label.
    worse
        A less trained run of the same data: autoguidance away from it.
    interval
        LOW HIGH: guide at noise levels sigma / alpha between these only.
    then
        A run of the recipe sr that enlarges the images; may be given several times: a cascade.
    precision
        auto (bf16 where the hardware has it, as in training), fp32 or bf16.
    compile
        auto (CUDA graphs on a GPU, and torch.compile where the work is long enough), on or off.
    batch_size
        Images drawn at once, by default as many as fit; it changes speed and memory, not the pictures.
    out
        A .png (one grid), a .gif (the grid, step by step), an .npy or .npz (uint8, N x C x H x W), or a folder (one
        .png per image); by default a grid in the run's samples folder.
    device
        cpu, cuda, mps; by default the best there is.
    json
        One JSON object on standard output.
    """
    from unnoise.sampling.conditions import SampleConditions
    from unnoise.sampling.generate import draw
    from unnoise.sampling.guidance_options import GuidanceOptions

    options = {"steps": steps, "eta": eta, "grid": grid}
    result = draw(
        run,
        range(seed, seed + number),
        sampler=sampler,
        options={name: value for name, value in options.items() if value is not None},
        conditions=SampleConditions(label, prompt, map_, image, vector),
        guidance=GuidanceOptions(guidance, classifier, worse, interval),
        then=then or (),
        precision=precision,
        compile=compile,
        batch_size=batch_size,
        out=out,
        device=device,
    )
    show(result, json)
