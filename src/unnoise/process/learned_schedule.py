"""A noise schedule that is learned with the network (Kingma, Salimans, Poole & Ho 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.process.schedule_base import VariancePreserving, in_float64

HALVINGS = 60
"""Of [1, T] in the search for a time: as many as float64 can tell apart."""
UNIT = 10.0
"""What one unit of a parameter stands for: Adam moves a parameter by about its learning rate a step, whatever the
gradient, and a schedule has farther to go than a weight."""
SIGMOIDS = 1.0
"""The sum of their heights at first, beside the straight line's 1."""
OVERLAP = 2.5
"""The slope of a sigmoid at first, over that which would cross its part of [0, 1] once: their sum has no ripples."""
QUIET = 1e-3
"""What the gradients are multiplied by: those of a loss's square can be a thousand times the network's, which a common
clipping would then stop. Adam's steps are the same."""
Factors = Callable[[], Tensor]


class _Gamma(NamedTuple):
    """gamma and d gamma / d t at some times."""

    value: Tensor
    rate: Tensor


class LearnedSchedule(nn.Module, VariancePreserving):
    """alpha_t^2 = sigmoid(-gamma(t)), sigma_t^2 = sigmoid(gamma(t)): gamma = -log-SNR is a monotone network of t.

    gamma(t) = gamma_0 + (gamma_1 - gamma_0) (g(u) - g(0)) / (g(1) - g(0)), u = (t - 1) / (T - 1), with
    g(u) = h + sum_k a_k sigmoid(b_k h + c_k), h = w u, and w, a, b positive. gamma_0 and gamma_1, the noise of the
    first and of the last step, are learned too. Before the first step log alpha is linear in t, as between any steps of
    betas, so that the schedule begins at a clean image. Before training gamma is nearly a straight line.

    Its weights are part of the model's: saved, averaged and resumed with it. They are constants until an objective
    that can train them asks for their gradients (`objectives.continuous_bound`). Functions of time are computed where
    the times lie. Of times on the CPU a GPU is waited for, as its weights come from there; `device` says where none is.

    Args:
        T: native steps, of samplers and of the bound; gamma itself is of continuous time.
        gamma_min: gamma_0 before training.
        gamma_max: gamma_1 before training.
        features: sigmoids, of which the paper has 1024.

    Reference:
        Kingma et al. 2021, section 3.2, appendices D and I (the gradient of the shape).
    """

    def __init__(self, T: int = 1000, gamma_min: float = -13.3, gamma_max: float = 5.0, features: int = 64) -> None:
        super().__init__()
        if T < 2 or features < 1:
            raise UserError(f"need T >= 2 steps and features >= 1, got {T} and {features}")
        if not gamma_min < gamma_max:
            raise UserError(f"need gamma_min < gamma_max, got {gamma_min} and {gamma_max}")
        self.T, self.gamma_min, self.gamma_max, self.features = T, gamma_min, gamma_max, features
        centres = (torch.arange(features, dtype=torch.float64) + 0.5) / features
        self.ends = nn.Parameter(torch.zeros(2))
        self.line = _parameter(_before_softplus(torch.ones(())))
        self.heights = _parameter(_before_softplus(torch.full((features,), SIGMOIDS / features)))
        self.slopes = _parameter(_before_softplus(torch.full((features,), OVERLAP * features)))
        self.offsets = _parameter(-OVERLAP * features * centres)
        self.requires_grad_(False)
        self._factors: Factors | None = None

    def extra_repr(self) -> str:
        return f"T={self.T}, gamma_min={self.gamma_min}, gamma_max={self.gamma_max}, features={self.features}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LearnedSchedule) and self._key() == other._key()

    def __hash__(self) -> int:
        """Of the present weights: what is remembered of a schedule is remembered for as long as it stays the same."""
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        options = self.T, self.gamma_min, self.gamma_max, self.features
        # Not self.parameters(): torch keeps modules in sets, by their hashes, while it lists parameters.
        weights = self.ends, self.line, self.heights, self.slopes, self.offsets
        return (*options, *(weight.detach().cpu().numpy().tobytes() for weight in weights))

    @property
    def device(self) -> torch.device:
        """Where times lie for functions of time that wait for no device: beside the weights, unless float64 is not
        there."""
        where = self.ends.device
        return torch.device("cpu") if where.type == "mps" else where

    @property
    def grid(self) -> Tensor:
        return torch.arange(1, self.T + 1, dtype=torch.float64)

    @property
    def t_max(self) -> float:
        return float(self.T)

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        var = -torch.expm1(2 * self._log_alpha(t))
        noisy = var > 0  # the square root has no gradient at 0
        return torch.where(noisy, torch.where(noisy, var, 1.0).sqrt(), 0.0)

    @in_float64
    def network_time(self, t: Tensor) -> Tensor:
        """Where gamma(t) lies between the ends that the schedule began with, times 1000: the network is told the noise
        itself, because what a time means changes while the schedule is learned."""
        return (self._gamma(t.clamp(min=1)).value - self.gamma_min) * (1000 / (self.gamma_max - self.gamma_min))

    @contextmanager
    def shape_gradient_times(self, factors: Factors) -> Iterator[None]:
        """While it lasts, the gradients that reach the shape of gamma, not its ends, through times (B,) are multiplied
        row by row by factors() (B,), which is called in the backward pass."""
        self._factors = factors
        try:
            yield
        finally:
            self._factors = None

    def _log_alpha(self, t: Tensor) -> Tensor:
        inner = 0.5 * F.logsigmoid(-self._gamma(t.clamp(min=1)).value)
        return torch.where(t < 1, t * self._first(t), inner)

    def _d_log_alpha(self, t: Tensor) -> Tensor:
        gamma = self._gamma(t.clamp(min=1))
        return torch.where(t < 1, self._first(t), -0.5 * gamma.value.sigmoid() * gamma.rate)

    @in_float64
    @torch.no_grad()
    def t(self, log_snr: Tensor) -> Tensor:
        """By bisection: gamma rises."""
        low, high = torch.ones_like(log_snr), torch.full_like(log_snr, self.T)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self._gamma(middle).value < -log_snr
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        log_alpha, first = 0.5 * F.logsigmoid(log_snr), self._first(log_snr)
        return torch.where(log_alpha > first, log_alpha / first, (low + high) / 2)

    def _first(self, like: Tensor) -> Tensor:
        """log alpha of the first step."""
        return 0.5 * F.logsigmoid(-self._ends(like)[0])

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """gamma_0 and gamma_1."""
        moved = _scaled(self.ends, like)
        given = torch.full((), self.gamma_max - self.gamma_min, dtype=torch.float32, device=like.device)
        width = F.softplus(moved[1] + _before_softplus(given.to(like.dtype)))
        lowest = self.gamma_min + moved[0]
        return lowest, lowest + width

    def _gamma(self, t: Tensor) -> _Gamma:
        """For t >= 1."""
        lowest, highest = self._ends(t)
        ends = self._raw(torch.arange(2, dtype=t.dtype, device=t.device)).value
        raw = self._raw((t - 1) / (self.T - 1))
        length = ends[1] - ends[0]
        value = self._weighed((raw.value - ends[0]) / length)
        rate = self._weighed(raw.rate / (length * (self.T - 1)))
        return _Gamma(lowest + (highest - lowest) * value, (highest - lowest) * rate)

    def _raw(self, u: Tensor) -> _Gamma:
        """g(u) and g'(u)."""
        line, heights, slopes = (F.softplus(_scaled(raw, u)) for raw in (self.line, self.heights, self.slopes))
        h = line * u
        lit = torch.sigmoid(slopes * h[..., None] + _scaled(self.offsets, u))
        rate = line * (1 + (heights * slopes * lit * (1 - lit)).sum(-1))
        return _Gamma(h + (heights * lit).sum(-1), rate)

    def _weighed(self, shape: Tensor) -> Tensor:
        factors = self._factors
        if factors is not None and shape.requires_grad:
            shape.register_hook(lambda gradient: gradient * factors())
        return shape


def _scaled(parameter: Tensor, like: Tensor) -> Tensor:
    """UNIT parameter, in float64 where `like` is, with a gradient that is QUIET."""
    value = UNIT * parameter.to(like)
    return torch.lerp(value.detach(), value, QUIET) if value.requires_grad else value


def _parameter(value: Tensor) -> nn.Parameter:
    return nn.Parameter((value / UNIT).float())


def _before_softplus(value: Tensor) -> Tensor:
    """The x with softplus(x) = value."""
    return value + torch.log(-torch.expm1(-value))
