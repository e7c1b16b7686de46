"""A training step on a device is the CPU's, in every recipe; nothing waits, nothing piles up, what resumes goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.runs.config import recipe_names
from unnoise.runtime.precision import NATIVE
from unnoise.training.trainer import Snapshot, Trainer

from .conftest import beside_the_cpu

pytestmark = pytest.mark.device

OF_OTHER_RUNS = {"ldm"}
FEW = ("ddpm", "gan", "vae", "ddpm-class")
RECIPES = [*FEW, *sorted(set(recipe_names()) - OF_OTHER_RUNS - set(FEW))]


def gradients(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Of every phase of a step, at weights that stay as they are, and the losses."""
    found: dict[str, Tensor] = {}
    for name, optimizer in zip([phase.name for phase in trainer.phases], trainer.optimizers, strict=True):

        def keep(phase: str = name, optimizer: torch.optim.Optimizer = optimizer) -> None:
            parts = [
                p.grad.flatten() for group in optimizer.param_groups for p in group["params"] if p.grad is not None
            ]
            found[f"gradient of {phase}"] = torch.cat(parts).cpu()

        monkeypatch.setattr(optimizer, "step", keep)
    for phase, result in trainer.advance().items():
        found |= {f"{phase}: {name}": value.detach().float().cpu() for name, value in result.parts.items()}
    return found


@pytest.mark.parametrize("recipe", beside_the_cpu(RECIPES, kept=2))
@pytest.mark.usefixtures("strictly_fp32", "same_noise")
def test_losses_and_gradients_are_those_of_the_cpu(
    trainer_of: Any, recipe: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = gradients(trainer_of(recipe, tmp_path, "cpu"), monkeypatch)
    found = gradients(trainer_of(recipe, tmp_path, device), monkeypatch)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert value.abs().max() > 0 or "accuracy" in name or "gradient" not in name
        scale = float(value.norm()) + 1e-12
        assert float((found[name] - value).norm()) / scale < 2e-4, name


@pytest.mark.parametrize("recipe", FEW)
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_other_precisions_learn_the_same(
    trainer_of: Any, recipe: str, precision: str, device: str, tmp_path: Path
) -> None:
    """After eight steps the loss is what fp32 has, to the precision's own digits."""
    if not NATIVE[precision](torch.device(device).type):
        pytest.skip(f"this device has no {precision}")
    losses = []
    for chosen in ("fp32", precision):
        trainer = trainer_of(recipe, tmp_path, device, **{"train.precision": chosen, "train.learning_rate": 1e-4})
        results = [trainer.advance() for _ in range(8)]
        losses.append(float(next(iter(next(iter(results[-1].values())).parts.values()))))
    assert math.isfinite(losses[1])
    assert abs(losses[1] - losses[0]) < 0.05 * (abs(losses[0]) + 0.1)


@pytest.mark.parametrize("recipe", FEW)
def test_what_is_restored_goes_on_as_if_it_had_not_stopped(
    trainer_of: Any, recipe: str, device: str, tmp_path: Path
) -> None:
    trainer = trainer_of(recipe, tmp_path, device)
    trainer.advance()
    saved = Snapshot(trainer)
    expected = [trainer.advance() for _ in range(2)]
    trainer.restore(saved)
    again = [trainer.advance() for _ in range(2)]
    for left, right in zip(expected, again, strict=True):
        for phase in left:
            torch.testing.assert_close(left[phase].grad_norm, right[phase].grad_norm, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("recipe", beside_the_cpu(RECIPES))
def test_a_step_never_waits_for_the_device(trainer_of: Any, recipe: str, device: str, tmp_path: Path) -> None:
    """torch forbids it while the third step runs: the first ones choose kernels and take memory."""
    trainer = trainer_of(recipe, tmp_path, device)
    for _ in range(2):
        trainer.advance()
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        assert trainer.advance()
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("recipe", beside_the_cpu(FEW))
def test_memory_does_not_grow(trainer_of: Any, recipe: str, device: str, tmp_path: Path) -> None:
    trainer = trainer_of(recipe, tmp_path, device)
    taken = []
    for step in range(13):
        trainer.advance()
        if device == "cuda" and step % 4 == 0:
            torch.cuda.synchronize()
            taken.append(torch.cuda.memory_allocated())
    assert trainer.step == 13
    assert len(set(taken[1:])) <= 1


def test_blocks_compiled_one_by_one_answer_as_they_did(trainer_of: Any, device: str, tmp_path: Path) -> None:
    if device == "cpu":
        pytest.skip("compiling takes most of a minute on a CPU")
    plain = trainer_of("ddpm", tmp_path, device)
    compiled = trainer_of("ddpm", tmp_path, device, **{"train.compile": "regions"})
    for _ in range(3):
        left, right = plain.advance()["model"], compiled.advance()["model"]
        torch.testing.assert_close(left.parts["loss"], right.parts["loss"], rtol=1e-3, atol=1e-4)
