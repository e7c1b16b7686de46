"""What students have in common: a teacher, which is the model as it was before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from unnoise.guidance import ClassifierFree
from unnoise.models.diffusion import CachedConditioning, Diffusion
from unnoise.models.told import Told
from unnoise.objectives.objective import Objective
from unnoise.process.denoiser import Denoiser
from unnoise.seeding import Noise


class Distillation(Objective):
    """A model that learns from a frozen copy of itself, so training has to start from a diffusion run.

    guidance: the scale of classifier-free guidance that the student learns to do without. Where the model is told the
    scale (`guidance_range`), it is uniform in that range instead, another for each row (Meng et al. 2023, section 3.1).
    """

    def __init__(self, model: Diffusion, guidance: float = 1.0) -> None:
        self._model, self.guidance = model, guidance
        self._teacher = deepcopy(model).requires_grad_(False).eval()

    @property
    def model(self) -> Diffusion:
        return self._model

    @property
    def teacher(self) -> Diffusion:
        """The frozen copy."""
        return self._teacher

    def modules(self) -> dict[str, nn.Module]:
        return {"teacher": self._teacher.to(self.model.device)}

    def before_step(self, step: int, progress: float = 0.0) -> None:
        if step == 0:
            self._teacher.load_state_dict(self.model.state_dict())

    def told(self, count: int, noise: Noise) -> Told:
        """What student and teacher are told of the guidance of so many rows; nothing is drawn where it is the same for
        all."""
        if self.model.guidance_range is None:
            return Told(scale=self.guidance)
        low, high = self.model.guidance_range
        return Told(scale=low + (high - low) * noise.uniform(count))

    @contextmanager
    def teaching(self, x: Tensor, told: Told, guided: bool = True) -> Iterator[Denoiser]:
        """The teacher, with the guidance that the student is told or without. It drops the conditions that the student,
        called with as many rows after it, drops."""
        teacher = self._teacher
        if teacher.conditioner is None:
            yield teacher
            return
        teacher.conditioner.train(self.model.training)
        with replayed(x):
            yield ClassifierFree(told.scale)(CachedConditioning(teacher)) if guided else CachedConditioning(teacher, told)


def replayed(like: Tensor) -> AbstractContextManager[None]:
    """Within, what torch's global generator draws is the same as in what comes after."""
    return torch.random.fork_rng([like.device] if like.is_cuda else [])
