"""The variational bound of a diffusion model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.metrics.grids import rising_times, visits
from unnoise.metrics.rows import batch_rows, blocks, row_normal, stderr, take, wide
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import discretised_log_prob, gaussian_kl, gaussian_log_prob, per_row, perturb, posterior
from unnoise.process.schedule import Schedule
from unnoise.process.variance import VARIANCES, Variance
from unnoise.registry import build, lookup

LogProb = Callable[[Tensor, Tensor, Tensor], Tensor]

DECODERS: dict[str, LogProb] = {"discretised": discretised_log_prob, "gaussian": gaussian_log_prob}
SIGNAL_LEFT = 1e-3


@dataclass(frozen=True)
class Bound:
    """An upper bound of -log p(x_0), in nats per dimension: total = prior + denoising + decoder, means over images.

    stderr: of the total, over images and their draws (nan for one image). per_image (N,): each one's total.
    times (K,): the t of every transition; per_t (K,): the mean of its KL (nan where sampling visited none).
    per_t sums to `denoising` where every time was visited.
    """

    total: float
    prior: float
    denoising: float
    decoder: float
    stderr: float
    times: Tensor
    per_t: Tensor
    per_image: Tensor

    def bits_per_dim(self) -> dict[str, float]:
        """total, prior, denoising, decoder and stderr divided by log 2."""
        names = ("total", "prior", "denoising", "decoder", "stderr")
        return {name: getattr(self, name) / math.log(2) for name in names}


@torch.no_grad()
def variational_bound(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    decoder: str = "discretised",
    variance: Variance | str = "beta",
    steps: int | Tensor | None = None,
    cond: Conditions | None = None,
    seed: int = 0,
    draws: int = 1,
    sampled: int | None = None,
    batch_size: int | None = None,
) -> Bound:
    """KL(q(x_T|x_0) || p(x_T)) + sum_t E KL(q(x_s|x_t,x_0) || p(x_s|x_t)) + E[-log p(x_0|x_first)] (Ho et al. 2020,
    equation 5), with p(x_T) = N(0, prior_std^2) and p(x_s|x_t) = N(mu-tilde(x_t, denoised x_0), variance).

    x_0 (N, *) in [-1, 1], on the denoiser's device; its dtype is the network's, the KLs are float64.
    decoder: 'discretised' (the mass of a pixel's level, 2/255 wide) or 'gaussian' (a density).
    variance: a Variance or the name of one. steps: a number of steps or rising times (n,); by default the native steps,
    or 1000 on schedules without them. cond: N rows, as the denoiser takes it.
    draws: eps per image and time; the second of each two is the negative of the first.
    sampled: times per image, drawn without bias and stratified over the grid. By default every transition is taken,
    as long as images x transitions x dimensions x draws is at most 1e8, and as many as that allows otherwise.
    Row i's draws depend on (seed, i) alone, whatever the batch_size. A prior term above 1e-3 warns.
    Raises UserError for an unknown decoder, times that the schedule does not have, or counts below 1.
    """
    if len(x_0) < 1 or draws < 1:
        raise UserError(f"need at least one image and one draw, got {len(x_0)} and {draws}")
    log_prob = lookup(DECODERS, decoder, "decoder")
    times = rising_times(denoiser.schedule, steps)
    chosen = build(VARIANCES, variance, "variance") if isinstance(variance, str) else variance
    walk = _Walk(denoiser, chosen, x_0, cond, seed, draws, batch_rows(x_0, batch_size))
    prior = prior_kl(denoiser.schedule, x_0, times[-1]).cpu()
    _warn_of_signal(float(prior.mean()))
    denoising, per_t = walk.transitions(times, visits(len(times) - 1, x_0, draws, sampled, seed))
    decoding = walk.decoding(times[0], log_prob)
    per_image = prior + denoising + decoding
    return Bound(
        total=float(per_image.mean()),
        prior=float(prior.mean()),
        denoising=float(denoising.mean()),
        decoder=float(decoding.mean()),
        stderr=stderr(per_image),
        times=times[1:],
        per_t=per_t,
        per_image=per_image,
    )


def prior_kl(schedule: Schedule, x_0: Tensor, t: Tensor) -> Tensor:
    """KL(q(x_t | x_0) || N(0, prior_std^2)), (N,) float64 where x_0 lies, on the CPU where that has no float64; nats
    per dimension."""
    square = torch.cat([wide(part).square().flatten(1).mean(1) for part in x_0.split(1024)])
    ratio = (schedule.sigma(t) / schedule.prior_std) ** 2
    return 0.5 * (ratio - 1 - ratio.log() + (schedule.alpha(t) / schedule.prior_std) ** 2 * square)


def transition_kl(
    schedule: Schedule, denoised: Denoised, variance: Variance, x_0: Tensor, t: Tensor, s: Tensor
) -> Tensor:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)), (B,) float64, nats per dimension, for s > 0."""
    denoised, x_0 = _widened(denoised), wide(x_0)
    back = posterior(schedule, t, s)
    weight = per_row(back.weight_0, x_0)  # weight_t x_t is in both means and left out of both
    log_var = variance.log_var(denoised, schedule, t, s)
    kl = gaussian_kl(weight * x_0, per_row(back.var.log(), x_0), weight * denoised.x_0, log_var)
    return kl.flatten(1).mean(1)


def decoder_nll(
    schedule: Schedule, denoised: Denoised, variance: Variance, x_0: Tensor, t: Tensor, log_prob: LogProb
) -> Tensor:
    """-log p(x_0 | x_t) with p's mean and variance those of the step from t to 0, (B,) float64, nats per dimension.

    The discrete decoder has the variance's own `decoder_log_var`.
    """
    denoised, s = _widened(denoised), torch.zeros_like(t)
    mean = posterior(schedule, t, s).mean(denoised.x_t, denoised.x_0)
    if log_prob is discretised_log_prob:
        log_var = variance.decoder_log_var(denoised, schedule, t)
    else:
        log_var = variance.log_var(denoised, schedule, t, s)
    return -log_prob(wide(x_0), mean, log_var).flatten(1).mean(1)


@dataclass(frozen=True)
class _Walk:
    """Draws x_t for rows of a data set and asks the denoiser, a batch at a time."""

    denoiser: Denoiser
    variance: Variance
    x_0: Tensor
    cond: Conditions | None
    seed: int
    draws: int
    batch: int

    def transitions(self, times: Tensor, visited: Tensor) -> tuple[Tensor, Tensor]:
        """The denoising term of each image (N,) and of each transition (K,), from the transitions visited (N, m)."""
        images, visits_each = visited.shape
        per_image, sums, counts = torch.zeros(images).double(), *torch.zeros(2, len(times) - 1).double()
        for rows in blocks(images, self.batch):
            for columns, draw in product(blocks(visits_each, max(1, self.batch // len(rows))), range(self.draws)):
                index = visited[rows.start : rows.stop, columns.start : columns.stop].T.flatten()
                t, s = times[index + 1], times[index]
                x_0, denoised = self._denoise(rows, columns, draw, t)
                kl = transition_kl(self.denoiser.schedule, denoised, self.variance, x_0, t, s).cpu()
                per_image[rows.start : rows.stop] += kl.reshape(-1, len(rows)).sum(0)
                sums.index_add_(0, index, kl)
                counts.index_add_(0, index, torch.ones_like(kl))
        return per_image * (len(sums) / max(1, visits_each * self.draws)), sums / counts

    def decoding(self, t: Tensor, log_prob: LogProb) -> Tensor:
        """The decoder term of each image (N,)."""
        per_image = torch.zeros(len(self.x_0), dtype=torch.float64)
        for rows, draw in product(blocks(len(self.x_0), self.batch), range(self.draws)):
            x_0, denoised = self._denoise(rows, range(-1, 0), draw, t)
            nll = decoder_nll(self.denoiser.schedule, denoised, self.variance, x_0, t, log_prob)
            per_image[rows.start : rows.stop] += nll.cpu() / self.draws
        return per_image

    def _denoise(self, rows: range, columns: range, draw: int, t: Tensor) -> tuple[Tensor, Denoised]:
        """x_0 and what the denoiser says of its x_t, for the rows at every column's noise, column by column."""
        index = torch.arange(rows.start, rows.stop).repeat(len(columns))
        eps = torch.cat([row_normal(self.x_0, rows, self.seed, draw // 2, column) for column in columns])
        x_0 = self.x_0[index.to(self.x_0.device)]
        x_t = perturb(self.denoiser.schedule, x_0, -eps if draw % 2 else eps, t)
        return x_0, self.denoiser(x_t, t, take(self.cond, index))


def _widened(denoised: Denoised) -> Denoised:
    var_mix = None if denoised.var_mix is None else wide(denoised.var_mix)
    return Denoised(wide(denoised.x_t), wide(denoised.x_0), wide(denoised.eps), var_mix)


def _warn_of_signal(prior: float) -> None:
    if prior > SIGNAL_LEFT:
        warnings.warn(
            f"x_T still carries signal: the prior term is {prior:.2g} nats/dim, above {SIGNAL_LEFT}; "
            "rescale the schedule's betas with T, or end the grid nearer t_max",
            stacklevel=3,
        )
