"""What one of several processes does in `test_distributed.py`: trains small models and keeps gradients and losses.

`python ranks.py OUT CASE...` under the variables that torchrun sets; the first process writes OUT.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from unnoise.data import Batch, Images
from unnoise.data.augment import AUGMENT
from unnoise.data.buckets import Bucketed
from unnoise.runs.config import override, read_recipe
from unnoise.runtime.world import join
from unnoise.training.setup import prepare
from unnoise.training.trainer import Snapshot, Trainer

BATCH, STEPS = 12, 8
DIFFUSION = {"model.network.channels": 8, "model.network.multipliers": [1, 2], "model.network.blocks": 1}
SMALL = {"train.batch_size": BATCH, "data.limit": 64, "train.warmup": 1, "train.clip": 0, "train.precision": "fp32"}
ONE_LEVEL = {"model.channels": 8, "model.multipliers": [1]}
LESS_EXACT = {"model.schedule.gamma_min": -6.0}
"""More noise at the clean end: the decoder divides by its variance, and magnifies what fp32 rounds in parts of other
sizes."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "diffusion": ("ddpm-digits", {**DIFFUSION, "model.network.dropout": 0.2, "data.flip": True}),
    "diffusion in passes": (
        "ddpm-digits",
        {**DIFFUSION, "model.network.dropout": 0.2, "data.flip": True, "train.accumulate": 3},
    ),
    "conditional": ("ddpm-class", {**DIFFUSION, "model.conditioner.dropout": 0.3}),
    "clusters": (
        "ddpm-digits",
        {
            **DIFFUSION,
            "model.conditioner.kind": "cluster",
            "model.conditioner.clusters": 4,
            "model.conditioner.dropout": 0.3,
        },
    ),
    "enlarging": ("sr", {**DIFFUSION, "model.conditioner.dropout": 0.3}),
    "importance": (
        "iddpm",
        {
            **DIFFUSION,
            "model.schedule.T": 2,
            "sampler.steps": 2,
            "objective.times": "importance",
            "objective.bound": 0.5,
        },
    ),
    "gan": ("gan", {**ONE_LEVEL, "objective.channels": 8, "objective.spectral": True, "train.batch_size": BATCH}),
    "vae": ("vae", {**ONE_LEVEL, "objective.free_bits": 1.0}),
    "sharp vae": ("vae-latent", {**ONE_LEVEL, "objective.kind": "adversarial-elbo", "objective.channels": 8}),
    "denoising autoencoder": ("dae", {**ONE_LEVEL}),
    "consistency": ("consistency", {**DIFFUSION, "model.network.dropout": 0.1}),
    "bound": ("vdm", {**DIFFUSION, **LESS_EXACT}),
    "bound in passes": ("vdm", {**DIFFUSION, **LESS_EXACT, "train.accumulate": 3}),
    "buckets": ("ddpm-digits", {**DIFFUSION, "model.network.dropout": 0.2, "data.flip": True, "data.augment": 0.3}),
    "buckets in passes": (
        "ddpm-digits",
        {**DIFFUSION, "model.network.dropout": 0.2, "data.flip": True, "data.augment": 0.3, "train.accumulate": 3},
    ),
}


def cut(images: Images) -> Bucketed:
    """Some of the images as they are, and others without their upper or right edges, so that there are three shapes."""
    edges = (slice(2, None), slice(None)), (slice(None), slice(None)), (slice(None), slice(None, 6))
    parts = np.array_split(np.arange(len(images)), 3)
    buckets = [
        replace(images.subset(rows), pixels=images.pixels[rows][..., high, wide], fingerprint="", sizes={})
        for rows, (high, wide) in zip(parts, edges, strict=True)
    ]
    return Bucketed(tuple(buckets), images.source)


class DoubleLoader:
    """Batches in double precision."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.batch_size = loader, loader.batch_size

    def batch(self, step: int, rows: Any = slice(None)) -> Batch:
        batch = self.loader.batch(step, rows)
        doubled = {name: value.double() for name, value in batch.cond.items() if name == AUGMENT}
        return replace(batch, image=batch.image.double(), cond={**batch.cond, **doubled})


def trainer_of(case: str, double: bool = False) -> Trainer:
    """The trainer of a case, with random numbers where networks begin at zero, so that every gradient counts."""
    recipe, overrides = CASES[case]
    config = override(read_recipe(recipe), {**SMALL, **overrides})
    setup = prepare("digits", recipe, config, 0, None, "cpu")
    if case.startswith("buckets"):
        assert isinstance(setup.images, Images)
        setup = replace(setup, images=cut(setup.images), held=None)
    modules = (setup.model, *setup.objective.modules().values())
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (parameter for module in modules for parameter in module.parameters()):
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=draws))
    if not double:
        return setup.trainer(None, join())
    for module in modules:
        module.double()
    made = setup.trainer(None)
    return Trainer(setup.objective, DoubleLoader(made.loader), setup.settings, setup.engine, 0, join())  # type: ignore[arg-type]


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    """Of one step, all parameters of each phase in one vector."""
    found: dict[str, Tensor] = {}
    for phase, optimizer in zip(trainer.phases, trainer.optimizers, strict=True):

        def keep(*_: object, phase: Any = phase) -> None:
            grads = [p.grad for p in phase.parameters if p.grad is not None]
            found[phase.name] = torch.cat([grad.flatten() for grad in grads]).clone()

        optimizer.register_step_pre_hook(keep)
    trainer.advance()
    return found


def in_double(case: str) -> dict[str, Tensor]:
    """Networks cast what must not be rounded to bf16 to fp32; here to fp64."""
    with patch.object(Tensor, "float", Tensor.double):
        return gradients(trainer_of(case, double=True))


def losses(trainer: Trainer, steps: int) -> list[float]:
    """The first phase's loss at each step."""
    return [float(trainer.advance()[trainer.phases[0].name].parts["loss"]) for _ in range(steps)]


def found_in(case: str) -> dict[str, Any]:
    """Gradients of one step in both precisions, the losses of STEPS steps, those of the last two again from where the
    training stood before them, and where they lead."""
    trainer = trainer_of(case)
    first, later = gradients(trainer), losses(trainer, STEPS - 3)
    standing, last = Snapshot(trainer), losses(trainer, 2)
    trainer.restore(standing)
    again = losses(trainer, 2)
    return {
        "fp32": first,
        "fp64": in_double(case),
        "losses": [*later, *last],
        "last": last,
        "again": again,
        "history": {k: v.clone() for k, v in trainer.tensors().get("loss_history", {}).items()},
        "weights": {k: v.clone() for k, v in trainer.model.state_dict().items()},
    }


def main(out: str, *cases: str) -> None:
    torch.set_num_threads(1)
    found = {case: found_in(case) for case in cases}
    if join().is_first:
        torch.save(found, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
