"""The log-likelihood of a diffusion model by its probability-flow ODE.

On any schedule z = x_t / sqrt(alpha^2 + sigma^2) is cos(angle) x_0 + sin(angle) eps with angle = atan(sigma / alpha),
so the ODE is dz / d angle = cos(angle) eps - sin(angle) x_0, bounded from clean to noise, alpha = 0 included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.integrate import RK45
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.metrics.rows import batch_rows, blocks, row_normal, stderr, take, wide
from unnoise.process.denoiser import Denoiser
from unnoise.registry import lookup

LARGEST_RATIO = 1e5
"""sigma / alpha at which the integration ends where alpha reaches 0."""


@dataclass(frozen=True)
class OdeLikelihood:
    """nats_per_dim: the mean of -log p(x_0) / D over images; stderr: its standard error over images and probes (nan
    for one image). log_prob (N,) float64: log p(x_0) in nats. network_calls: of the denoiser, all batches together.
    """

    nats_per_dim: float
    stderr: float
    log_prob: Tensor
    network_calls: int


def ode_log_likelihood(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    cond: Conditions | None = None,
    trace: str = "exact",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    seed: int = 0,
    probes: int = 1,
    sigma_min: float = 1e-3,
    batch_size: int | None = None,
) -> OdeLikelihood:
    """log p(x_0) = log N(x_T; 0, prior_std^2) + the integral of the flow's divergence (Song et al. 2021, section 4.3),
    exact up to solver tolerance, the smoothing of sigma_min and, for 'hutchinson', the probes' noise.

    x_0 (N, *): continuous data (see `dequantise`), on the denoiser's device, in the network's dtype.
    trace: 'exact' takes D backward passes a call; 'hutchinson' takes `probes`, with fixed random signs per image.
    The solver is Dormand and Prince's 5(4), a batch at a time, its error held to rtol and atol over the batch.
    sigma_min: the noise level sigma / alpha at which the ODE starts. There x_0 is read as a draw of the model's
    distribution, which changes log p by about D sigma_min^2 / (2 s^2) for data with details of size s. A discrete-time
    network knows nothing below its first step: give it that step's sigma / alpha.
    Raises UserError for an unknown trace, probes below 1, no image, a sigma_min out of (0, the largest level), and
    where the denoiser's answers are not finite or not smooth.
    """
    if len(x_0) < 1 or probes < 1:
        raise UserError(f"need at least one image and one probe, got {len(x_0)} and {probes}")
    span = _angles(denoiser, sigma_min)
    make_probes = partial(lookup(TRACES, trace, "trace"), count=probes, seed=seed)
    log_probs, calls = [], 0
    for rows in blocks(len(x_0), batch_rows(x_0, batch_size)):
        part, given = x_0[rows.start : rows.stop], take(cond, torch.arange(rows.start, rows.stop))
        flow = _Flow(denoiser, given, make_probes(x_0, rows), part)
        log_prob, used = _integrate(flow, span, rtol, atol)
        log_probs.append(log_prob)
        calls += used
    nll = -torch.cat(log_probs) / x_0[0].numel()
    return OdeLikelihood(float(nll.mean()), stderr(nll), torch.cat(log_probs), calls)


@dataclass(frozen=True)
class _Probes:
    """Directions p (B or 1, *) with div f = weight sum_p p . J p, J the Jacobian of f."""

    directions: list[Tensor]
    weight: float


def _basis(x: Tensor, rows: range, count: int, seed: int) -> _Probes:
    dims = x[0].numel()
    return _Probes(list(torch.eye(dims, dtype=x.dtype, device=x.device).reshape(dims, 1, *x.shape[1:])), 1.0)


def _signs(x: Tensor, rows: range, count: int, seed: int) -> _Probes:
    """Rademacher probes (Hutchinson 1990): E[p . J p] = tr J, with the least variance of independent entries."""
    normals = [row_normal(x, rows, seed, probe) for probe in range(count)]
    return _Probes([torch.where(normal > 0, 1.0, -1.0).to(x.dtype) for normal in normals], 1 / count)


TRACES: dict[str, Callable[..., _Probes]] = {"exact": _basis, "hutchinson": _signs}


@dataclass(frozen=True)
class _Flow:
    """d (z, log-determinant) / d angle on a flat float64 state: z (B, *), then one number a row."""

    denoiser: Denoiser
    cond: Conditions | None
    probes: _Probes
    x_0: Tensor

    def scale(self, angle: float) -> tuple[Tensor, Tensor]:
        """The time of an angle, and sqrt(alpha^2 + sigma^2) there."""
        schedule = self.denoiser.schedule
        t = schedule.t(torch.tensor(-2 * math.log(math.tan(angle)), dtype=torch.float64)).clamp(max=schedule.t_max)
        return t, torch.hypot(schedule.alpha(t), schedule.sigma(t))

    def pack(self, z: Tensor) -> np.ndarray:
        return np.concatenate([wide(z).cpu().numpy().ravel(), np.zeros(len(z))])

    def unpack(self, state: np.ndarray) -> tuple[Tensor, Tensor]:
        z = torch.from_numpy(state[: self.x_0.numel()]).reshape(self.x_0.shape)
        return z, torch.from_numpy(state[self.x_0.numel() :])

    def __call__(self, angle: float, state: np.ndarray) -> np.ndarray:
        z = self.unpack(state)[0].to(self.x_0.dtype).to(self.x_0.device).requires_grad_()
        with torch.enable_grad():
            t, scale = self.scale(angle)
            denoised = self.denoiser(scale.to(z.dtype) * z, t, self.cond)
            slope = denoised.lerp(-torch.sin(torch.tensor(angle)), torch.cos(torch.tensor(angle)))
            divergence = sum(self._along(slope, z, p.expand_as(z)) for p in self.probes.directions)
        divergence = self.probes.weight * torch.as_tensor(divergence)
        change = np.concatenate([wide(part.detach()).cpu().numpy().ravel() for part in (slope, divergence)])
        if not np.isfinite(change).all():  # the solver would try ever smaller steps, for ever
            raise UserError(f"the denoiser's answers are not finite at t = {float(t):.4g}")
        return change

    @staticmethod
    def _along(slope: Tensor, z: Tensor, probe: Tensor) -> Tensor:
        (pulled,) = torch.autograd.grad(slope, z, probe, retain_graph=True)
        return wide(pulled * probe).flatten(1).sum(1)


def _angles(denoiser: Denoiser, sigma_min: float) -> tuple[float, float]:
    schedule = denoiser.schedule
    ratio = math.exp(-0.5 * float(schedule.log_snr(schedule.t_max)))
    if not 0 < sigma_min < ratio:
        raise UserError(f"sigma_min must lie between 0 and the largest sigma / alpha, {ratio:g}; got {sigma_min}")
    return math.atan(sigma_min), math.atan(min(ratio, LARGEST_RATIO))


def _integrate(flow: _Flow, span: tuple[float, float], rtol: float, atol: float) -> tuple[Tensor, int]:
    """log p of each row (B,), and the calls it took."""
    first, last = span
    dims = flow.x_0[0].numel()
    # scipy.integrate.solve_ivp would keep every step's state, which for images is the whole memory.
    solver = RK45(flow, first, flow.pack(wide(flow.x_0) * math.cos(first)), last, rtol=rtol, atol=atol)
    while solver.status == "running":
        solver.step()
    if solver.status == "failed":
        raise UserError("the ODE's solver failed: the denoiser's answers are not smooth enough for these tolerances")
    z, log_det = flow.unpack(solver.y)
    scale, prior_std = float(flow.scale(last)[1]), flow.denoiser.schedule.prior_std
    normal = torch.distributions.Normal(0.0, prior_std / scale)
    # log p(x_0) at sigma_min is that of z there times the Jacobian of z = cos(angle) x_0.
    log_prob = normal.log_prob(z).flatten(1).sum(1) + log_det + dims * math.log(math.cos(first))
    return log_prob, solver.nfev
