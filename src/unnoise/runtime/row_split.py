"""A denoiser whose rows several processes compute: what tunes samplers and bounds likelihoods runs on all of them as on
one, and only the network's work is divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped
from unnoise.runtime.world import World, join


def split_over_processes(denoiser: Denoiser) -> Denoiser:
    """The denoiser, its rows divided between the processes that work together; the same one where it works alone."""
    world = join()
    return denoiser if world.size == 1 else SplitDenoiser(denoiser, world)


@dataclass(frozen=True)
class SplitDenoiser(Wrapped):
    """A Denoiser that every process calls with the same rows: each computes some and has all answers, with gradients
    by x_t and t."""

    world: World

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        count = len(x_t)
        if count < self.world.size:
            return self.denoiser(x_t, t, cond)
        part = _Part(self.world, self.world.portion(count), count)
        own_t = _Shared.apply(t, part) if t.ndim == 0 else _Own.apply(t, part)
        found = self.denoiser(_own(x_t, part), cast(Tensor, own_t), _own_conditions(cond, part))
        var_mix = None if found.var_mix is None else _all(found.var_mix, part)
        return Denoised(x_t, _all(found.x_0, part), _all(found.eps, part), var_mix, found.schedule, t)


@dataclass(frozen=True)
class _Part:
    """The rows of one process among `count`."""

    world: World
    rows: slice
    count: int

    def gathered(self, own: Tensor) -> Tensor:
        """All rows, from those that each process has."""
        ends = (self.rows.start, self.count - self.rows.stop)
        return self.world.sum(F.pad(own, (0, 0) * (own.ndim - 1) + ends))


class _Own(torch.autograd.Function):
    """Of rows that all processes have, those of this one; gradients of all come together."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, part: _Part) -> Tensor:
        ctx.part = part
        return x[part.rows].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.part.gathered(gradients[0]), None


class _All(torch.autograd.Function):
    """All rows, of which every process has some. What follows is computed by each process alike, and so are gradients:
    each has those of its own rows already."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, part: _Part) -> Tensor:
        ctx.part = part
        return part.gathered(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.part.rows], None


class _Shared(torch.autograd.Function):
    """A value for all rows, which no process has alone; gradients of all rows are summed."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, part: _Part) -> Tensor:
        ctx.part = part
        return t.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.part.world.sum(gradients[0]), None


def _own(x: Tensor, part: _Part) -> Tensor:
    return cast(Tensor, _Own.apply(x, part))


def _all(x: Tensor, part: _Part) -> Tensor:
    return cast(Tensor, _All.apply(x, part))


def _own_conditions(cond: Conditions | None, part: _Part) -> Mapping[str, Any] | None:
    return None if cond is None else {name: value[part.rows] for name, value in cond.items()}
