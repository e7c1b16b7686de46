"""What students have in common: a teacher, which is the model as it was before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from unnoise.guidance import ClassifierFree
from unnoise.models.cached_conditioning import CachedConditioning
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import Told
from unnoise.objectives.objective import Objective
from unnoise.process.denoiser import Denoiser
from unnoise.seeding import Noise


class Distillation(Objective):
    """A model that learns from a frozen copy of itself, so training has to start from a diffusion run.

    guidance: the scale of classifier-free guidance that the student learns to do without. Where the model is told the
    scale (`guidance_range`), it is uniform in that range instead, another for each row (Meng et al. 2023, section 3.1).
    """

    teaches_scales = True

    def __init__(self, model: Diffusion, guidance: float = 1.0) -> None:
        self._model, self.guidance = model, guidance
        self._teacher, self._given = frozen_copy(model), False

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
        if step == 0 and not self._given:
            self._teacher.load_state_dict(self.model.state_dict())

    def taught_by(self, teacher: Diffusion) -> None:
        """Called before the first step: this model of the same parts teaches, not the one that training starts from."""
        self._teacher.load_state_dict(teacher.state_dict())
        self._given = True

    def told(self, count: int, noise: Noise) -> Told:
        """What the network is told of the guidance of so many rows."""
        return told_scales(self.model, count, noise, self.guidance)

    def teaching(self, x: Tensor, told: Told, guided: bool = True) -> AbstractContextManager[Denoiser]:
        """The teacher, guided as the student is told to be or, once it has learned that, told so itself. It drops the
        conditions that the student, called with as many rows after it, drops."""
        return teaching(self._teacher, self.model.training, x, told, guided)


def frozen_copy(model: Diffusion) -> Diffusion:
    """The model as it is now, which neither learns nor drops anything from here on: a teacher."""
    return deepcopy(model).requires_grad_(False).eval()


def told_scales(model: Diffusion, count: int, noise: Noise, otherwise: float = 1.0) -> Told:
    """A guidance scale for each of `count` rows, uniform in the model's range; where it has none nothing is drawn."""
    if model.guidance_range is None:
        return Told(scale=otherwise)
    low, high = model.guidance_range
    return Told(scale=low + (high - low) * noise.uniform(count))


@contextmanager
def teaching(teacher: Diffusion, training: bool, x: Tensor, told: Told, guided: bool = True) -> Iterator[Denoiser]:
    """A frozen model, guided by the scales told or told them, that drops conditions as the next call of another does.

    training: whether that one drops them at all.
    """
    if teacher.conditioner is None:
        yield teacher
        return
    teacher.conditioner.train(training)
    with replayed(x):
        yield ClassifierFree(told.scale)(CachedConditioning(teacher)) if guided else CachedConditioning(teacher, told)


def replayed(like: Tensor) -> AbstractContextManager[None]:
    """Within, what torch's global generator draws is the same as in what comes after."""
    return torch.random.fork_rng([like.device] if like.is_cuda else [])
