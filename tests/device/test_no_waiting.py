"""A training step waits for no device: nothing in it reads a number back, and what it sends is sent without waiting.

Every recipe and every objective, on the stand-in for a GPU of `waiting.py`; a GPU itself says so in `test_training.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.data import Loader
from unnoise.host import sent
from unnoise.objectives import OBJECTIVES
from unnoise.process.schedule import LearnedSchedule
from unnoise.runs.config import read_recipe, recipe_names
from unnoise.runtime.world import World
from unnoise.seeding import StepNoise
from unnoise.training import dial
from unnoise.training.log import SilentLog
from unnoise.training.session import Session
from unnoise.training.trainer import Trainer

from .conftest import small
from .waiting import Waited, no_waiting

SHALLOW: dict[str | None, dict[str, Any]] = {
    "unet": {"model.network.multipliers": [1, 2], "model.network.blocks": 1, "model.network.attention": [4]},
    "dit": {"model.network.depth": 1},
}
AUTOENCODER = {"kind": "vae", "spatial": True, "latent": 4, "channels": 8, "multipliers": [1, 2]}
OF_RECIPES: dict[str, dict[str, Any]] = {
    "ldm": {"model.codec": {"kind": "latents", "autoencoder": AUTOENCODER}},
}
STUDENT = {"model.jumps": True, "model.guidance_range": [1.0, 4.0]}
OF_OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "importance sampling": ("iddpm", {"objective.times": "importance", "model.schedule.T": 4, "sampler.steps": 2}),
    "a bound of a fixed schedule": ("ddpm", {"objective": {"kind": "continuous-bound"}}),
    "passes": ("ddpm-class", {"train.accumulate": 2, "model.network.dropout": 0.1}),
    "changed images": ("ddpm", {"data.augment": 0.5, "data.flip": True}),
    "masking": ("dae", {"objective.corruption": "masking"}),
    "salt and pepper": ("dae", {"objective.corruption": "salt-pepper"}),
    "a logistic likelihood": ("vae", {"model.likelihood": "discretised-logistic", "objective.free_bits": 1.0}),
    "a spectral norm": ("gan", {"objective.spectral": True, "objective.penalty": "gradient"}),
    "adversarial-elbo": ("vae-latent", {"objective": {"kind": "adversarial-elbo", "channels": 8}}),
    "a teacher": ("consistency", {"objective.teacher": True}),
    "easy-consistency": ("ddpm-class", {**STUDENT, "objective": {"kind": "easy-consistency"}}),
    "progressive": ("ddpm-class", {**STUDENT, "objective": {"kind": "progressive"}}),
    "reflow": ("ddpm-class", {"objective": {"kind": "reflow", "pairs": 0, "draw_steps": 2}}),
    "adversarial-diffusion": ("ddpm-class", {"model.jumps": True, "objective": {"kind": "adversarial-diffusion"}}),
    "distribution-matching": ("ddpm-class", {**STUDENT, "objective": {"kind": "distribution-matching"}}),
    "meanflow-distillation": (
        "ddpm-class",
        {**STUDENT, "model.jumps": False, "model.flow_map": True, "objective": {"kind": "meanflow-distillation"}},
    ),
}
WAITING = {"ddpm": {"objective.pairing": "optimal-transport"}}
"""What has to wait: the assignment of noises to images is computed on the host."""
CASES = {**{name: (name, OF_RECIPES.get(name, {})) for name in recipe_names()}, **OF_OBJECTIVES}


class Half(World):
    """One process of two, as far as a step's device goes."""

    size = 2

    def sum(self, x: Tensor) -> Tensor:
        return x.clone()


@dataclass
class Fetches:
    """What is brought to the host, and when it is asked for."""

    events: list[tuple[str, int]] = field(default_factory=list)
    count: int = 0

    def __call__(self, tensor: Tensor) -> Callable[[], Tensor]:
        number, self.count = self.count, self.count + 1
        self.events.append(("sent", number))

        def arrived() -> Tensor:
            self.events.append(("asked for", number))
            return torch.ones(tensor.shape, dtype=tensor.dtype)

        return arrived


@pytest.fixture(autouse=True)
def fetches(monkeypatch: pytest.MonkeyPatch) -> Fetches:
    found = Fetches()
    monkeypatch.setattr("unnoise.objectives.importance.fetched", found)
    return found


@pytest.fixture(autouse=True)
def noise_without_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device has no generator."""
    monkeypatch.setattr(StepNoise, "normal", lambda noise, like: torch.empty_like(like))


@pytest.fixture(autouse=True)
def dial_without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "choose_rung", lambda *_: dial.Speed(dial.LADDER[0], 1.0))


def trainer_of(recipe: str, folder: Path, world: World, **overrides: Any) -> Trainer:
    """The trainer of a small model on the stand-in. AdamW's fused kernel is not there, so Muon takes the step."""
    kind = read_recipe(recipe)["model"].get("network", {}).get("kind")
    given = {"train.precision": "fp32", "train.optimizer": "muon", **SHALLOW.get(kind, {}), **overrides}
    setup = small(recipe, folder, "cpu", **given)
    images = setup.images
    if setup.model.works_in_latents:
        images = replace(images, latents=np.zeros((len(images), *setup.model.codec.latent_shape), np.float32))
    rest = {"flip": setup.data.mirrors and images.latents is None, "augment": float(setup.data.augment)}
    loader = Loader(images, setup.settings.batch_size, 0, "meta", **rest)
    # Before the first step torch may list modules, in sets, by hashes that are made of a learned schedule's weights.
    with patch.object(LearnedSchedule, "__hash__", object.__hash__):
        setup.model.to("meta")
        engine = replace(setup.engine, device="meta")
        return Trainer(setup.objective, loader, setup.settings, engine, 0, world)


@pytest.mark.parametrize("case", CASES)
def test_a_step_waits_for_nothing(case: str, tmp_path: Path) -> None:
    recipe, overrides = CASES[case]
    trainer = trainer_of(recipe, tmp_path, Half(), **overrides)
    with no_waiting():
        results = trainer.advance()
    assert all(result.grad_norm.is_meta for result in results.values())


def test_every_objective_is_looked_at(tmp_path: Path) -> None:
    """None is left out above."""
    seen = {overrides["objective"]["kind"] for _, overrides in OF_OBJECTIVES.values() if "objective" in overrides}
    for recipe in recipe_names():
        setup = small(recipe, tmp_path, "cpu", **OF_RECIPES.get(recipe, {}))
        seen.add(setup.config["objective"]["kind"])
    assert seen == set(OBJECTIVES)


@pytest.mark.parametrize("recipe", WAITING)
def test_what_waits_is_seen_to_wait(recipe: str, tmp_path: Path) -> None:
    trainer = trainer_of(recipe, tmp_path, World(), **WAITING[recipe])
    with no_waiting(), pytest.raises(NotImplementedError, match="meta"):
        trainer.advance()


def test_losses_of_a_step_are_asked_for_after_the_next(tmp_path: Path, fetches: Fetches) -> None:
    recipe, overrides = CASES["importance sampling"]
    trainer = trainer_of(recipe, tmp_path, World(), **overrides)
    for _ in range(3):
        trainer.advance()
    asked = ("sent", 0), ("sent", 1), ("asked for", 0), ("sent", 2), ("asked for", 1)
    assert fetches.events == list(asked)


def test_a_session_waits_only_for_its_log(tmp_path: Path) -> None:
    """The loss, its gradient and the limits are looked at where a line is due, here every fifth step."""
    trainer = trainer_of("ddpm", tmp_path, World(), **{"train.log_every": 5})
    session = Session(trainer, tmp_path, SilentLog(tmp_path), None)
    with no_waiting():
        for _ in range(4):
            session._one_step()
        with pytest.raises(RuntimeError, match="meta"):
            session._one_step()


HOST = torch.arange(3)


@pytest.mark.parametrize(
    "wait",
    [
        lambda device: HOST.to(device),
        lambda device: torch.tensor([1.0, 2.0], device=device),
        lambda device: torch.zeros(3, device=device).new_tensor(1.0),
        lambda device: torch.zeros(3, device=device).copy_(HOST),
        lambda device: torch.zeros(3, device=device)[HOST],
        lambda device: torch.zeros(3, device=device) + torch.tensor(1.0).to(device),
        lambda device: bool(torch.zeros(3, device=device).any()),
        lambda device: torch.zeros(3, device=device).sum().item(),
        lambda device: torch.zeros(3, device=device)[torch.zeros(3, device=device) > 0],
        lambda device: torch.zeros(3, device=device).cpu(),
    ],
)
def test_the_stand_in_sees_who_waits(wait: Callable[[str], object]) -> None:
    wait("cpu")
    with no_waiting(), pytest.raises((Waited, RuntimeError, NotImplementedError), match=r"host|numbers|meta"):
        wait("meta")


def test_the_stand_in_lets_pass_what_does_not_wait() -> None:
    with no_waiting():
        here = sent(HOST, "meta", torch.float32)
        assert torch.where(here > 0, 1.0, here * torch.tensor(2.0)).is_meta
        assert (torch.full((3,), 2.0, device="meta") + here).is_meta
