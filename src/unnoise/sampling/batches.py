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
from unnoise.registry import Positive, fitted
from unnoise.runtime.batch_size import batch_that_fits
from unnoise.runtime.cuda_graphs import compiles
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.runtime.world import World
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
        UserError: for a model that does not claim to sample, and for a batch_size below 1.
    """
    fitting = fitting_batch(model, seeds, cond, guidance, precision) if batch_size is None else batch_size
    spans = spans_of(len(seeds), fitting)
    return np.concatenate(list(drawn(model, seeds, spans, cond, sampler, guidance, precision, compile, gif)))


def spans_of(count: int, batch_size: int) -> list[slice]:
    """So many rows in batches, the last of which may be smaller."""
    fitted(batch_size, Positive, "batch_size")
    return [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]


def drawn(
    model: ImageModel,
    seeds: Sequence[int],
    spans: Sequence[slice],
    cond: Conditions | None = None,
    sampler: Sampler | None = None,
    guidance: Guidance | None = None,
    precision: str = "auto",
    compile: str = "auto",
    gif: GifFrames | None = None,
) -> Iterator[np.ndarray]:
    """`sample_in_batches` one batch at a time: uint8 (B, C, H, W), the images of the seeds in each of `spans`."""
    drawing = require(model, CanSample, "sampling")
    sampler = sampler or model.default_sampler()
    steps = sampler.steps if sampler is not None else 1
    calls, count = steps * len(spans), sum(span.stop - span.start for span in spans)
    with (
        progress_bar() as progress,
        computing_in(model.device, chosen_precision(model.device, precision)),
        model.captured(0 if compile == "off" else calls, compile=compiles(model.device, compile, calls)),
    ):
        task = progress.add_task("sampling", total=count * steps)
        for span in spans:
            rows = seeds[span]
            asked = rows_of(cond, span.start, len(rows))
            advance = partial(progress.advance, task, len(rows))
            yield to_uint8(_batch(drawing, rows, asked, sampler, guidance, advance, gif))


def sample_together(
    model: ImageModel,
    seeds: Sequence[int],
    cond: Conditions | None,
    sampler: Sampler | None,
    guidance: Guidance | None,
    batch_size: int,
    precision: str,
    world: World,
) -> tuple[np.ndarray, int]:
    """`sample_in_batches` by several processes, each of which draws some batches and gets all images; and the network
    calls of all of them."""
    spans = spans_of(len(seeds), batch_size)[world.portion(-(-len(seeds) // batch_size))]
    with counted_calls(model) as calls:
        own = list(drawn(model, seeds, spans, cond, sampler, guidance, precision))
    gathered = world.gather((own, calls[0]))
    return np.concatenate([batch for batches, _ in gathered for batch in batches]), sum(count for _, count in gathered)


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
