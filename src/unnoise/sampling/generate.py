"""Drawing images from a run, in batches, to files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.data import image_grid, save_gif, save_png, to_uint8
from unnoise.data.batch import from_uint8
from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.models import CanSample, Diffusion, ImageModel
from unnoise.progress import progress_bar
from unnoise.registry import build, spec_of
from unnoise.runs.run import Run
from unnoise.runtime.batch_size import batch_that_fits
from unnoise.runtime.cuda_graphs import compiles
from unnoise.runtime.precision import autocast, takes_bf16
from unnoise.samplers import DDIM, SAMPLERS, Sampler
from unnoise.sampling.analytic import with_analytic_variance
from unnoise.sampling.conditions import SampleConditions, rows_of, taken_by
from unnoise.sampling.gif import GifFrames
from unnoise.sampling.guidance_options import GuidanceOptions

TUNED = "tuned"


def draw(
    folder: str | Path,
    seeds: Sequence[int],
    *,
    sampler: str | None = None,
    options: Mapping[str, Any] | None = None,
    conditions: SampleConditions | None = None,
    guidance: GuidanceOptions | None = None,
    then: Sequence[str | Path] = (),
    precision: str = "auto",
    compile: str = "auto",
    batch_size: int | None = None,
    out: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Draws one image per seed and writes them; returns images, shape, out, seconds, network_calls and how.

    sampler: a name, or None for the recipe's; options: its keywords. conditions: what a conditional run is to draw.
    guidance: guidance. then: runs trained to enlarge, each of which is given the images of the one before (a cascade,
    Ho et al. 2021). precision: 'auto', 'fp32' or 'bf16'. compile, batch_size: as in `sample_in_batches`.
    out: a .png (grid), a .gif of the grid step by step, an .npy or .npz, or a folder of .png; None for a grid in the
    run's samples folder.
    """
    run = Run.open(folder)
    needed = "sampler" in run.config or sampler or options
    chosen = choose_sampler(run, sampler, options or {}) if needed else None
    if not seeds:
        raise UserError("need at least 1 image, got 0")
    out = out or run.folder / "samples" / f"{_how(run, sampler, chosen)}-{seeds[0]}.png"
    writer = _writer(out)
    model = run.load(device)
    gif = _gif_frames(model, out, then)
    guidance = guidance or GuidanceOptions()
    cond = (conditions or SampleConditions()).for_model(
        model, run.classes, classifier_guided=guidance.classifier is not None
    )
    guide = guidance.for_model(model, cond) if isinstance(model, Diffusion) else None
    begun = time.perf_counter()
    first = batch_size or _batch_size(model, seeds, cond, guide, precision)
    with counted_calls(model) as calls:
        images = sample_in_batches(model, seeds, cond, chosen, guide, first, precision, compile, gif)
        for stage in then:
            images = _enlarged(Run.open(stage), images, seeds, batch_size, precision, device, compile)
    seconds = time.perf_counter() - begun
    if gif is None:
        writer(images, out)
    else:
        save_gif(gif.frames(), out)
    return {
        "images": len(images),
        "shape": list(images.shape),
        "out": str(out),
        "seconds": round(seconds, 3),
        "network_calls": calls[0],
        "sampler": None if chosen is None else repr(chosen),
        "precision": "bf16" if takes_bf16(model.device, precision) else "fp32",
        "seeds": [seeds[0], seeds[-1]],
        **({"then": [str(stage) for stage in then]} if then else {}),
    }


def _gif_frames(model: ImageModel, out: Path, then: Sequence[str | Path]) -> GifFrames | None:
    """Frames to fill where `out` is a GIF; UserError where there are no steps to show."""
    if out.suffix.lower() != ".gif":
        return None
    if not isinstance(model, Diffusion):
        raise UserError(f"a .gif shows the steps of a diffusion model; {model.kind} draws in one")
    if then:
        raise UserError("a .gif shows the steps of one run: leave out --then, or write a .png")
    return GifFrames()


def _enlarged(
    run: Run,
    images: np.ndarray,
    seeds: Sequence[int],
    batch_size: int | None,
    precision: str,
    device: str | None,
    compile: str,
) -> np.ndarray:
    """What a run that enlarges makes of images (N, C, h, w), by its own sampler and the same seeds."""
    model = run.diffusion("--then", device)
    if "image" not in taken_by(model):
        raise UserError(f"--then takes runs that enlarge images (recipe sr); {run.folder} does not")
    if images.shape[1] != run.shape[0]:
        raise UserError(f"{run.folder} enlarges images of {run.shape[0]} channels, and these have {images.shape[1]}")
    small = from_uint8(torch.from_numpy(images)).to(model.device)
    return sample_in_batches(model, seeds, {"image": small}, run.sampler(), None, batch_size, precision, compile)


def choose_sampler(run: Run, name: str | None, options: Mapping[str, Any]) -> Sampler:
    """The recipe's sampler, or the one named, with some of its options set. Where a number of steps alone is asked
    for and `unnoise tune` has found a sampler for it, this one, which also goes by the name 'tuned'.
    """
    if name in (None, TUNED) and set(options) == {"steps"}:
        tuned = run.tuned(options["steps"])
        if tuned is not None:
            return tuned
    if name == TUNED:
        raise UserError(f"{run.folder} has no tuned sampler of these steps: run 'unnoise tune {run.folder} --steps K'")
    spec = spec_of(SAMPLERS, run.sampler())
    same = name is None or name == spec["kind"]
    return with_analytic_variance(run, build(SAMPLERS, {**(spec if same else {"kind": name}), **options}, "sampler"))


def _how(run: Run, name: str | None, sampler: Sampler | None) -> str:
    return "drawn" if sampler is None else f"{name or run.config['sampler']['kind']}-{sampler.steps}"


def sample_in_batches(
    model: ImageModel,
    seeds: Sequence[int],
    cond: Mapping[str, Any] | None = None,
    sampler: Sampler | None = None,
    guidance: Any = None,
    batch_size: int | None = None,
    precision: str = "auto",
    compile: str = "auto",
    gif: GifFrames | None = None,
) -> np.ndarray:
    """uint8 (N, C, H, W), with a progress bar on a terminal.

    cond: one row, repeated for every image, or a row each. sampler, guidance: of diffusion models.
    batch_size: None for as many as the memory holds. It changes the speed, not the pictures.
    precision: 'auto' runs the network in bf16 where the hardware has it, as training does; 'fp32'; 'bf16'.
    compile: 'auto' replays CUDA graphs on a GPU, with torch.compile where the work is long enough; 'on'; 'off'.
    gif: keeps the steps of a diffusion model.
    Raises UserError for a model that does not claim to sample.
    """
    if not isinstance(model, CanSample):
        raise UserError(cannot_sample(model))
    steps = sampler.steps if sampler is not None else 1
    batch_size = batch_size or _batch_size(model, seeds, cond, guidance, precision)
    images = []
    with progress_bar() as progress, autocast(model.device, takes_bf16(model.device, precision)):
        task = progress.add_task("sampling", total=len(seeds) * steps)
        with _captured(model, steps * -(-len(seeds) // batch_size), compile):
            for start in range(0, len(seeds), batch_size):
                rows = seeds[start : start + batch_size]
                advance = partial(progress.advance, task, len(rows))
                batch = _draw_batch(model, rows, rows_of(cond, start, len(rows)), sampler, guidance, advance, gif)
                images.append(to_uint8(batch))
    return np.concatenate(images)


def _batch_size(model: Any, seeds: Sequence[int], cond: Mapping[str, Any] | None, guidance: Any, precision: str) -> int:
    """As many as fit: on a GPU by what one step of a few images takes, decoding included."""
    one_step: dict[str, Any] = {"sampler": DDIM(steps=1), "guidance": guidance} if isinstance(model, Diffusion) else {}

    def step(rows: int) -> None:
        with autocast(model.device, takes_bf16(model.device, precision)):
            model.sample(seeds[:rows], rows_of(cond, 0, rows), **one_step)

    return batch_that_fits(len(seeds), model.shape[1:], model.device, step)


def _captured(model: ImageModel, calls: int, compile: str) -> AbstractContextManager[None]:
    chosen = compiles(model.device, compile, calls)
    if not isinstance(model, Diffusion) or compile == "off":
        return nullcontext()
    return model.captured(calls, compile=chosen)


def _draw_batch(
    model: Any,
    seeds: Sequence[int],
    cond: Mapping[str, Any] | None,
    sampler: Sampler | None,
    guidance: Any,
    advance: Callable[[], None],
    gif: GifFrames | None,
) -> Tensor:
    """Calls `advance` after every step of a diffusion model, and once for any other."""
    if not isinstance(model, Diffusion):
        image = model.sample(seeds, cond)
        advance()
        return image
    x = torch.empty(0)
    if gif is not None:
        gif.new_batch()
    for point in model.stream(seeds, cond, sampler, guidance):
        x = point.x
        if gif is not None:
            gif.record(to_uint8(model.codec.decode(x)))
        advance()
    return model.codec.decode(x)


def cannot_sample(model: ImageModel) -> str:
    """Why a model draws nothing, and what does."""
    return (
        f"{model.kind} has no prior to draw codes from, so it cannot sample; "
        "train a vae, a gan or a diffusion model on the same images"
    )


@contextmanager
def counted_calls(model: ImageModel) -> Iterator[list[int]]:
    """Yields a list whose only item counts the forward passes of a diffusion model's network, or of a whole model."""
    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1

    counted = model.network if isinstance(model, Diffusion) else model
    handle = counted.register_forward_hook(count)
    try:
        yield calls
    finally:
        handle.remove()


def _writer(out: Path) -> Any:
    return {
        ".png": _write_grid,
        ".gif": _write_grid,
        ".npy": _write_array,
        ".npz": _write_array,
        "": _write_folder,
    }.get(out.suffix.lower()) or _refuse(out)


def _refuse(out: Path) -> Any:
    raise UserError(f"cannot write {out}: --out takes a .png, a .gif, an .npy, an .npz or a folder")


def _write_grid(images: np.ndarray, out: Path) -> None:
    save_png(image_grid(images), out)


def _write_array(images: np.ndarray, out: Path) -> None:
    import io

    stream = io.BytesIO()
    if out.suffix == ".npz":
        np.savez(stream, images=images)
    else:
        np.save(stream, images)
    write_atomic(out, stream.getvalue())


def _write_folder(images: np.ndarray, out: Path) -> None:
    for index, image in enumerate(images):
        save_png(image_grid(image[None], scale=1, padding=0), out / f"{index:06d}.png")
