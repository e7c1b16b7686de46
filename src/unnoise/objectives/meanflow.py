"""Mean flows: the average velocity between two times of a path, which one call follows from end to end."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from unnoise.aliases import Conditions
from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import UNTOLD, Told
from unnoise.objectives.consistency import check_enlargement
from unnoise.objectives.distillation import Distillation
from unnoise.objectives.objective import Loss, Objective
from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import per_row, perturb
from unnoise.process.timesteps import LogNormalSigma, TimestepDistribution, UShaped
from unnoise.registry import Amount, Fraction
from unnoise.seeding import Noise

LEAST_ERROR = 1e-3
"""c of the adaptive weight (Geng et al. 2025, section 4.3)."""


class MeanFlow(Objective):
    """U(x_t, s, t) = v - (u_t - u_s) dU/du, the identity of an average velocity, by regression of U on its right side,
    which is held fixed (Geng et al. 2025, equations 6 and 9 to 11).

    On any schedule: u = sigma / (alpha + sigma) is the clock on which x_t / (alpha + sigma) = (1 - u) x_0 + u eps is
    straight, v = eps - x_0, and U = eps - x_0 of the model's answer for the step from t to s. dU/du is the derivative
    along the path, by forward-mode differentiation of the network (a Jacobian-vector product). The error is that of the
    network's own target, so that where s = t it is that of `Denoising`; each row's is divided by (itself + c)^power.

    same: the share of rows where s = t. timesteps: t and s are two of its draws, by default log(sigma / alpha) ~
    N(-0.4, 1), which is the paper's logit-normal u. Attention is computed step by step ('math'): the fused kernels have
    no forward-mode derivative in torch 2.13.
    Raises UserError for a model that is not told where a step ends, and for one whose x_0 at t_max would be its answer
    enlarged beyond use.
    """

    def __init__(
        self,
        model: Diffusion,
        same: Fraction = 0.75,
        power: Amount = 1.0,
        timesteps: TimestepDistribution | None = None,
    ) -> None:
        if not model.flow_map:
            raise UserError(
                "objective 'meanflow' needs a network that is told where a step ends: model.flow_map = true"
            )
        check_enlargement(model, torch.tensor([model.schedule.t_max], dtype=torch.float64))
        self._model, self.same, self.power = model, same, power
        self.timesteps = timesteps or LogNormalSigma(mean=-0.4, std=1.0)

    @property
    def model(self) -> Diffusion:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        schedule, cond, x_0 = self.model.schedule, self.model.conditions(batch), self.model.encoded(batch)
        t, s = self.pair(len(x_0), noise)
        eps = noise.normal(x_0)
        told = self.told(len(x_0), noise)
        drawn = Denoised(perturb(schedule, x_0, eps, t), x_0, eps, schedule=schedule, t=t)
        errors = self.errors(self.flow(drawn, cond, told), s, cond, told)
        weights = (errors.detach() + LEAST_ERROR) ** -self.power
        total = (weights * errors).mean()
        return Loss(total, {"loss": total.detach(), "error": errors.detach().mean()})

    def pair(self, count: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """The times t >= s (count,), the same in a share `same` of the rows."""
        schedule = self.model.schedule
        one, other = (self.timesteps.quantile(schedule, noise.uniform(count)) for _ in range(2))
        if schedule.grid is not None:
            one, other = (t.round().clamp(min=1) for t in (one, other))
        t, s = torch.maximum(one, other), torch.minimum(one, other)
        return t, torch.where(noise.uniform(count) < self.same, t, s)

    def told(self, count: int, noise: Noise) -> Told:
        """What the network is told of so many rows beside where their steps end."""
        return UNTOLD

    def flow(self, drawn: Denoised, cond: Conditions | None, told: Told) -> Denoised:
        """The flow's velocity at x_t, as the image and the noise that it leads to: those that x_t was drawn from, whose
        mean is the flow's."""
        return drawn

    def errors(self, flow: Denoised, s: Tensor, cond: Conditions | None, told: Told) -> Tensor:
        """The mean squared errors (B,) of the network's target for steps to s (B,)."""
        schedule, t = self.model.schedule, flow.t
        assert t is not None
        average, derivative = self.average(flow, s, cond, told)
        u, gap = schedule.noise_share(t), schedule.noise_share(t) - schedule.noise_share(s)
        target = flow.eps - flow.x_0 - per_row(gap, average) * derivative
        # The network's target is a x_0 + b eps of x_0 = z - u U and eps = z + (1 - u) U: linear in U.
        a, b = self.model.parametrization.row(schedule, t)
        slope = per_row((1 - u) * b - u * a, average)
        return (slope * (average - target.detach())).square().flatten(1).mean(1)

    def average(self, flow: Denoised, s: Tensor, cond: Conditions | None, told: Told) -> tuple[Tensor, Tensor]:
        """U (B, *) for the steps from the flow's x_t to s (B,), with gradients, and dU/du along the flow."""
        t = flow.t
        assert t is not None
        per_u = 1 / noise_share_rate(self.model, t)
        _prepare_forward_mode()

        with sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
            x_t = forward_ad.make_dual(flow.x_t, per_row(per_u, flow.x_t) * flow.velocity)
            denoised = self.model(x_t, forward_ad.make_dual(t, per_u), cond, Told(s, told.scale))
            average, derivative = forward_ad.unpack_dual(denoised.eps - denoised.x_0)
        assert derivative is not None
        return average, derivative.detach()


class MeanFlowDistillation(MeanFlow, Distillation):
    """`MeanFlow` with the velocity of the run that the training starts from, which is known at every x_t, in place of
    eps - x_0, whose mean it is: U averages that run's flow (Geng et al. 2025, equation 6).

    guidance: of the run, whose guided flow is learned; `Distillation` says what a model does that is told the scale.
    timesteps: by default u-shaped, because one call steps from one end of the path to the other. same, power: chosen on
    eight Gaussians in the plane (docs/lab.md).
    """

    def __init__(
        self,
        model: Diffusion,
        guidance: float = 1.0,
        same: Fraction = 0.1,
        power: Amount = 0.75,
        timesteps: TimestepDistribution | None = None,
    ) -> None:
        MeanFlow.__init__(self, model, same, power, timesteps or UShaped())
        Distillation.__init__(self, model, guidance)

    def told(self, count: int, noise: Noise) -> Told:
        return Distillation.told(self, count, noise)

    @torch.no_grad()
    def flow(self, drawn: Denoised, cond: Conditions | None, told: Told) -> Denoised:
        assert drawn.t is not None
        with self.teaching(drawn.x_t, told) as teacher:
            return teacher(drawn.x_t, drawn.t, cond)


def noise_share_rate(model: Diffusion, t: Tensor) -> Tensor:
    """du/dt (B,) = (alpha sigma' - sigma alpha') / (alpha + sigma)^2."""
    schedule = model.schedule
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return (alpha * schedule.d_sigma(t) - sigma * schedule.d_alpha(t)) / (alpha + sigma) ** 2


@cache
def _prepare_forward_mode() -> None:
    """At its first use torch scripts some of its derivatives, and warns that scripting is deprecated: nothing to tell a
    user."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))
