"""Images from a model, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.data import to_uint8
from unnoise.models import CanSample, ImageModel
from unnoise.models.image_model import Guidance, require
from unnoise.progress import progress_bar
from unnoise.runtime.batch_size import batch_that_fits
from unnoise.runtime.cuda_graphs import compiles
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.samplers import Sampler
from unnoise.sampling.conditions import rows_of
from unnoise.sampling.gif import GifFrames


def sample_in_batches(
    model: ImageModel,
    seeds: Sequence[int],
    cond: Conditions | None = None,
    sampler: Sampler | None = None,
    guidance: Guidance | None = None,
    batch_size: int | None = None,
    precision: str = "auto",
    compile: str = "auto",
    gif: GifFrames | None = None,
) -> np.ndarray:
    """Images, with a progress bar on a terminal.

    Args:
        model: one that can sample.
        seeds: image i depends on seed i alone.
        cond: one row, repeated for every image, or a row each.
        sampler, guidance: of models that sample in many steps; None: `default_sampler()`, none.
        batch_size: None for as many as the memory holds. It changes the speed, not the pictures.
        precision: of the network, as in `chosen_precision`; 'auto' is what training takes.
        compile: 'auto' replays CUDA graphs on a GPU, with torch.compile where the work is long enough; 'on'; 'off'.
        gif: keeps what the images look like after each step.

    Returns:
        uint8 (N, C, H, W).

    Raises:
        UserError: for a model that does not claim to sample.
    """
    drawing = require(model, CanSample, "sampling")
    sampler = sampler or model.default_sampler()
    steps = sampler.steps if sampler is not None else 1
    batch_size = batch_size or fitting_batch(model, seeds, cond, guidance, precision)
    calls = steps * -(-len(seeds) // batch_size)
    images = []
    with (
        progress_bar() as progress,
        computing_in(model.device, chosen_precision(model.device, precision)),
        model.captured(0 if compile == "off" else calls, compile=compiles(model.device, compile, calls)),
    ):
        task = progress.add_task("sampling", total=len(seeds) * steps)
        for start in range(0, len(seeds), batch_size):
            rows = seeds[start : start + batch_size]
            asked = rows_of(cond, start, len(rows))
            advance = partial(progress.advance, task, len(rows))
            images.append(to_uint8(_batch(drawing, rows, asked, sampler, guidance, advance, gif)))
    return np.concatenate(images)


def fitting_batch(
    model: ImageModel, seeds: Sequence[int], cond: Conditions | None, guidance: Guidance | None, precision: str
) -> int:
    """As many as fit: on a GPU by what one step of a few images takes, decoding included."""
    drawing, usual = require(model, CanSample, "sampling"), model.default_sampler()
    sampler = None if usual is None else replace(usual, steps=1)

    def step(rows: int) -> None:
        with computing_in(model.device, chosen_precision(model.device, precision)):
            drawing.sample(seeds[:rows], rows_of(cond, 0, rows), sampler, guidance)

    return batch_that_fits(len(seeds), model.shape[1:], model.device, step)


def _batch(
    model: CanSample,
    seeds: Sequence[int],
    cond: Conditions | None,
    sampler: Sampler | None,
    guidance: Guidance | None,
    advance: Callable[[], None],
    gif: GifFrames | None,
) -> Tensor:
    """Images (B, C, H, W) in [-1, 1]; calls `advance` after every step."""
    x = torch.empty(0)
    if gif is not None:
        gif.new_batch()
    for point in model.stream(seeds, cond, sampler, guidance):
        x = point.x
        if gif is not None:
            gif.record(to_uint8(model.decode_point(x)))
        advance()
    return model.decode_point(x)


@contextmanager
def counted_calls(model: ImageModel) -> Iterator[list[int]]:
    """Yields a list whose only item counts the network calls of a model."""
    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1

    handle = model.counted.register_forward_hook(count)
    try:
        yield calls
    finally:
        handle.remove()
