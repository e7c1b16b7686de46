"""What a conditioner makes of a condition, made once for a whole trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from unnoise.models.image_model import Conditions
from unnoise.models.told import UNTOLD, Told
from unnoise.networks.conditioner import Conditioning
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped


class Conditional(Denoiser, Protocol):
    """A model whose conditioner and network can be called one after the other."""

    flow_map: bool

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None, told: Told = UNTOLD) -> Denoised: ...

    def conditioning(self, cond: Conditions | None, count: int) -> Conditioning | None: ...

    def denoise(self, x_t: Tensor, t: Tensor, conditioning: Conditioning | None, told: Told = UNTOLD) -> Denoised: ...


@dataclass(frozen=True)
class CachedConditioning(Wrapped):
    """A model, for one call of a sampler: what the conditioner makes of a condition is made once.

    told: what its network is told in every call.
    """

    denoiser: Conditional
    told: Told = UNTOLD
    _made: dict[tuple[int, int], tuple[Any, Conditioning | None]] = field(default_factory=dict, repr=False)

    def towards(self, s: Tensor) -> Denoiser:
        return replace(self, told=replace(self.told, towards=s)) if self.denoiser.flow_map else self

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        if torch.is_grad_enabled():
            return self.denoiser(x_t, t, cond, self.told)
        return self.denoiser.denoise(x_t, t, self._conditioning(cond, len(x_t)), self.told)

    def _conditioning(self, cond: Conditions | None, count: int) -> Conditioning | None:
        key = id(cond), count
        if key not in self._made:
            # The condition is kept too, so that no other can get its id.
            self._made[key] = cond, self.denoiser.conditioning(cond, count)
        return self._made[key][1]
