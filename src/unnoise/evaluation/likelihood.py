"""How probable a diffusion model finds images: bits per dimension, scores, and what the scores can tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from unnoise.data import Images, image_grid, save_png
from unnoise.evaluation.entry import Result
from unnoise.evaluation.target import Source
from unnoise.metrics.likelihood import Bound, density_bits, dequantise, ode_log_likelihood, variational_bound
from unnoise.models import CanDenoise, CanScore, ImageModel
from unnoise.models.image_model import require_mean
from unnoise.process.denoiser import CountingDenoiser
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.schedule import LearnedSchedule
from unnoise.process.variance import Variance
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.runtime.row_split import split_over_processes
from unnoise.seeding import StepNoise
from unnoise.sources import open_source
from unnoise.sources.open import EXPLICIT

SCORE_TIMES = 10
"""Noise levels at which the denoising-error score looks."""
NETWORK_CALLS = 20_000
"""Denoised images that a bound is estimated from by default: about a minute for 28x28 on two cores."""
SCORED_TIMES = 50
"""Times per image when images are ranked by their bound."""
SHEET = 36
"""Images at most on the sheet of those that are explained worst."""
OOD_SETS = ("glyphs", "noise")
FLOW_TOLERANCE = 1e-3
SIGMA_MIN = 1e-3


def bits_per_dim(
    model: ImageModel, x_0: Tensor, *, seed: int = 0, times: int | None = None, variance: str | Variance | None = None
) -> Result:
    """The likelihood of images in bits per dimension, by the model's own score or by the variational bound.

    Args:
        model: scores images, or is a denoiser of images.
        x_0: (N, C, H, W) in [-1, 1].
        seed: of the noise.
        times: steps per image of the bound, stratified; by default as many as NETWORK_CALLS allows.
        variance: of the bound's reverse steps; by default `variance_of` the model.
    """
    if isinstance(model, CanScore):
        return scored_bits(model, x_0, seed=seed)
    return bound_bits(require_mean(model, "bits per dimension"), x_0, seed=seed, times=times, variance=variance)


def bound_bits(
    model: CanDenoise, x_0: Tensor, *, seed: int = 0, times: int | None = None, variance: str | Variance | None = None
) -> Result:
    """The variational bound in bits per dimension, term by term, its curve over t, and how it was estimated.

    x_0 (N, C, H, W) in [-1, 1]. times: per image, stratified; by default as many as NETWORK_CALLS allows. variance: of
    the reverse steps; by default `variance_of` the model.
    """
    variance = variance or variance_of(model)
    steps = _native_steps(model)
    times = min(steps, max(1, NETWORK_CALLS // len(x_0)) if times is None else times)
    bound = measured_bound(model, x_0, seed=seed, times=times, variance=variance)
    seen = bound.per_t.isfinite()
    return {
        "bits_per_dim": bound.bits_per_dim(),
        "bits_per_t": {"t": bound.times[seen].tolist(), "bits": (bound.per_t[seen] / np.log(2)).tolist()},
        "likelihood": {
            "what": "upper bound, discretised decoder",
            "variance": variance if isinstance(variance, str) else type(variance).__name__.lower(),
            "images": len(x_0),
            "steps": steps,
            "times_per_image": times,
            "times": "every step" if times == steps else "a stratified sample of the steps",
            "seed": seed,
        },
    }


def flow_bits(model: CanDenoise, x_0: Tensor, *, seed: int = 0) -> Result:
    """Bits per dimension by the probability-flow ODE of the unclipped denoiser, on dequantised images, starting at the
    noise of a discrete schedule's first step, below which its network knows nothing."""
    grid = model.schedule.grid
    sigma_min = SIGMA_MIN if grid is None else float(torch.exp(-model.schedule.log_snr(grid[0]) / 2))
    found = ode_log_likelihood(
        split_over_processes(model),
        dequantise(x_0, seed),
        trace="hutchinson",
        seed=seed,
        rtol=FLOW_TOLERANCE,
        atol=FLOW_TOLERANCE,
        sigma_min=sigma_min,
    )
    return {
        "bits_per_dim_ode": {"total": density_bits(found.nats_per_dim), "stderr": found.stderr / np.log(2)},
        "ode": {
            "what": "exact up to solver tolerance and the probes' noise, of uniformly dequantised images",
            "images": len(x_0),
            "tolerance": FLOW_TOLERANCE,
            "network_calls": found.network_calls,
            "sigma_min": sigma_min,
            "seed": seed,
        },
    }


def scored_bits(model: CanScore, x_0: Tensor, *, seed: int = 0) -> Result:
    """Bits per dimension of a model that scores images in one number each, and what that number is.

    Bits of 256 levels or of a density are comparable with a diffusion model's; those of binary pixels are not.
    """
    found = model.log_likelihood(x_0, seed=seed)
    bits = found.bits_per_dim(x_0[0].numel()).cpu().double()
    return {
        "bits_per_dim": {"total": float(bits.mean()), "stderr": float(bits.std() / len(bits) ** 0.5)},
        "nats_per_image": float(-found.nats.cpu().double().mean()),
        "likelihood": {
            "what": "exact" if found.exact else "upper bound",
            "of": found.of,
            "images": len(x_0),
            "seed": seed,
        },
    }


def variance_of(model: CanDenoise) -> str:
    """The reverse variance a model's likelihood is measured with: its own where it learned one, that which a learned
    schedule was trained with, else beta."""
    if model.learned_variance:
        return "learned"
    return "continuous" if isinstance(model.schedule, LearnedSchedule) else "beta"


def measured_bound(model: CanDenoise, x_0: Tensor, *, seed: int, times: int, variance: str | Variance) -> Bound:
    """The bound of the model's clipped denoiser with the discretised decoder, with a progress bar on a terminal."""
    with progress_bar() as progress:
        task = progress.add_task("bits per dimension", total=len(x_0) * (times + 1))
        return variational_bound(
            CountingDenoiser(split_over_processes(model.guided()), lambda rows: progress.advance(task, rows)),
            x_0,
            decoder="discretised",
            variance=variance,
            seed=seed,
            sampled=times,
        )


def score(
    run: str | Path,
    data: Source,
    *,
    split: str = "test",
    n: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str | None = None,
) -> Result:
    """Ranks images by how well a run explains them.

    Two scores, larger for less likely images: bits per dimension (simple images can fool it), and the denoising error
    over a range of noise levels.

    Args:
        run: a run's folder.
        data: the images.
        split: 'train' or 'test'; 'train' where the source has no test split.
        n: images at most.
        seed: of the noise.
        out: a PNG for the images that are explained worst, in order; None for none.
        device: by default the best there is.

    Returns:
        {bits_per_dim, denoising_error}, lists in the order of the source, `names` of their files where they have some,
        `sheet` where it was written, and the conditions.

    Raises:
        NotApplicable: for a run that is no diffusion model of images.
    """
    opened = Run.open(run)
    images, used = opened.open_data(split, data, n)
    model = require_mean(opened.load(device), "scoring")
    scores = scores_of(model, images.batch(range(len(images)), model.device).image, seed)
    least_likely = scores["denoising_error"].argsort(descending=True)[:SHEET]
    if out is not None:
        save_png(image_grid(images.pixels[least_likely.numpy()]), Path(out))
    return {
        "run": str(run),
        "sheet": None if out is None else str(out),
        "data": images.source,
        "split": used,
        "n": len(images),
        "names": list(images.names) or None,
        "times_per_image": min(SCORED_TIMES, _native_steps(model)),
        **{name: values.tolist() for name, values in scores.items()},
    }


def scores_of(model: CanDenoise, x_0: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Both scores (N,) of images (N, C, H, W) in [-1, 1]: 'bits_per_dim' and 'denoising_error'."""
    times = min(SCORED_TIMES, _native_steps(model))
    bound = measured_bound(model, x_0, seed=seed, times=times, variance=variance_of(model))
    return {"bits_per_dim": bound.per_image / np.log(2), "denoising_error": denoising_errors(model, x_0, seed)}


@torch.no_grad()
def denoising_errors(model: CanDenoise, x_0: Tensor, seed: int = 0, batch_size: int = 256) -> Tensor:
    """(N,): the mean of |x_0 - denoised x_0|^2 alpha / sigma over noise levels from log-SNR 4 to -4."""
    total, denoiser = torch.zeros(len(x_0), dtype=torch.float64), split_over_processes(model)
    for index, log_snr in enumerate(torch.linspace(4, -4, SCORE_TIMES, dtype=torch.float64)):
        t = model.schedule.t(log_snr)
        t = t.round().clamp(min=1) if model.schedule.grid is not None else t
        x_t = perturb(model.schedule, x_0, StepNoise(seed, index).normal(x_0), t)
        denoised = torch.cat([denoiser(part, t).x_0 for part in x_t.split(batch_size)])
        weight = per_row((log_snr / 2).exp(), x_0)
        total += (weight * (x_0 - denoised).square()).flatten(1).mean(1).cpu().double() / SCORE_TIMES
    return total


def auroc_of_scores(model: CanDenoise, known: Images, n: int, seed: int = 0) -> Result:
    """How well each score tells images the model should know from glyphs and from uniform noise: AUROC, 1 is perfectly,
    0.5 not at all, below that the others look more likely than the known ones. n: images of each kind.
    """
    own = scores_of(model, known.batch(range(min(n, len(known))), model.device).image, seed)
    result: Result = {"n": min(n, len(known))}
    for name in OOD_SETS:
        other = scores_of(model, _ood_images(name, known, n, seed).batch(range(n), model.device).image, seed)
        result[name] = {score: auroc(own[score], other[score]) for score in own}
    worst = {score: min(result[name][score] for name in OOD_SETS) for score in own}
    result["works"] = max(worst, key=lambda score: worst[score])
    return result


def auroc(known: Tensor, other: Tensor) -> float:
    """The probability that an image of another kind scores higher than a known one, ties counting half."""
    ranks = rankdata(torch.cat([other, known]).numpy())
    wins = ranks[: len(other)].sum() - len(other) * (len(other) + 1) / 2
    return float(wins / (len(other) * len(known)))


def _ood_images(name: str, known: Images, n: int, seed: int) -> Images:
    channels, height, width = known.shape
    if name == "glyphs":
        return open_source(f"{EXPLICIT}{name}", size=(height, width), channels=channels, limit=n, progress=False)
    noise = np.random.default_rng(seed).integers(0, 256, (n, *known.shape), dtype=np.uint8)
    return Images(noise, source="uniform noise")


def _native_steps(model: CanDenoise) -> int:
    return 1000 if model.schedule.grid is None else len(model.schedule.grid)
