"""Images drawn on a device are those of the CPU, for every sampler, guided or not, captured or not, in any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.guidance import ClassifierFree
from unnoise.models import CanSample
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.diffusion import Diffusion
from unnoise.runtime.precision import NATIVE
from unnoise.samplers import DDIM, RK45, SAMPLERS, Sampler
from unnoise.sampling.batches import sample_in_batches

from .conftest import beside_the_cpu

pytestmark = pytest.mark.device

ADAPTIVE = (RK45,)
"""Its number of calls depends on rounding."""
QUICK = [kind(steps=6) for kind in SAMPLERS.values() if kind not in ADAPTIVE]
SEEDS = range(5)


def drawing(trainer_of: Any, recipe: str, folder: Path, device: str) -> Diffusion:
    model = trainer_of(recipe, folder, device).model.eval()
    assert isinstance(model, Diffusion)
    return model


@pytest.fixture(scope="module")
def models(
    trainer_of: Any, device: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Diffusion, Diffusion]]:
    """recipe -> the same model on the CPU and on the device."""
    folder = tmp_path_factory.mktemp("models")
    recipes = ("ddpm", "ddpm-class", "edm", "rectified-flow", "iddpm")
    return {
        name: (drawing(trainer_of, name, folder, "cpu"), drawing(trainer_of, name, folder, device)) for name in recipes
    }


def agree(found: Tensor, expected: Tensor, allowed: float) -> None:
    assert float((found.cpu() - expected).abs().max()) < allowed


@pytest.mark.parametrize("sampler", beside_the_cpu(QUICK), ids=repr)
@pytest.mark.usefixtures("strictly_fp32")
def test_every_sampler_draws_what_the_cpu_draws(sampler: Sampler, models: Any) -> None:
    on_cpu, on_device = models["ddpm"]
    agree(on_device.sample(SEEDS, sampler=sampler), on_cpu.sample(SEEDS, sampler=sampler), 1e-4)


@pytest.mark.parametrize("recipe", beside_the_cpu(["edm", "rectified-flow", "iddpm"]))
@pytest.mark.usefixtures("strictly_fp32")
def test_every_sentence_draws_what_the_cpu_draws(recipe: str, models: Any) -> None:
    on_cpu, on_device = models[recipe]
    agree(on_device.sample(SEEDS, steps=6), on_cpu.sample(SEEDS, steps=6), 1e-4)


@pytest.mark.parametrize("guidance", [None, ClassifierFree(2.0)], ids=repr)
@pytest.mark.parametrize("recipe", ["ddpm", "ddpm-class"])
@pytest.mark.usefixtures("strictly_fp32")
def test_captured_calls_draw_what_others_do(recipe: str, guidance: Any, models: Any) -> None:
    """Twice, of which the second only replays, for fewer images."""
    if guidance is not None and recipe == "ddpm":
        pytest.skip("nothing to guide by")
    _, model = models[recipe]
    cond = None if recipe == "ddpm" else {"label": torch.arange(len(SEEDS), device=model.device)}
    few = None if cond is None else {"label": cond["label"][:3]}
    sampler = DDIM(steps=20)
    plain = sampler.run(model.guided(guidance), model.prior(SEEDS), cond=cond)
    with model.captured(20), torch.no_grad():
        agree(sampler.run(model.guided(guidance), model.prior(SEEDS), cond=cond), plain.cpu(), 1e-4)
        agree(sampler.run(model.guided(guidance), model.prior(SEEDS[:3]), cond=few), plain[:3].cpu(), 1e-4)


@pytest.mark.parametrize("recipe", beside_the_cpu(["ddpm-class", "ddpm"]))
@pytest.mark.usefixtures("strictly_fp32")
def test_one_seed_is_one_image_in_any_batch(recipe: str, models: Any) -> None:
    _, model = models[recipe]
    cond = None if recipe == "ddpm" else {"label": torch.full((1,), 3, device=model.device)}
    drawn = [
        sample_in_batches(model, SEEDS, cond, DDIM(steps=20), None, batch_size=size, precision="fp32")
        for size in (1, 2, 5)
    ]
    for other in drawn[1:]:
        assert np.abs(drawn[0].astype(int) - other.astype(int)).max() <= 1  # a level: sums in another order


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_other_precisions_draw_nearly_the_same(precision: str, device: str, models: Any) -> None:
    if not NATIVE[precision](torch.device(device).type):
        pytest.skip(f"this device has no {precision}")
    _, model = models["ddpm"]
    drawn = [
        sample_in_batches(model, SEEDS, None, DDIM(steps=20), None, precision=chosen).astype(float)
        for chosen in ("fp32", precision)
    ]
    assert np.abs(drawn[0] - drawn[1]).mean() < {"tf32": 1.0}.get(precision, 4.0)


@pytest.mark.usefixtures("strictly_fp32")
def test_latents_are_decoded_as_on_the_cpu(trainer_of: Any, device: str, tmp_path: Path) -> None:
    """A latent model without a run: a codec of random weights, on both devices."""
    vae = trainer_of("vae-latent", tmp_path, "cpu").model.eval()
    seeds = torch.Generator().manual_seed(0)
    assert isinstance(vae, CanSample)
    images = torch.rand(3, *vae.shape, generator=seeds) * 2 - 1
    twin = build_model(model_spec(vae), vae.shape, 0)
    twin.load_state_dict(vae.state_dict())
    twin = twin.to(device).eval()
    with torch.no_grad():
        agree(twin.decode(twin.encode(images.to(device))), vae.decode(vae.encode(images)), 1e-4)  # type: ignore[operator]


def test_two_devices_draw_the_same(trainer_of: Any, tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    first, second = (
        drawing(trainer_of, "ddpm", tmp_path, f"cuda:{index}").sample(SEEDS, steps=6) for index in range(2)
    )
    agree(second, first.cpu(), 1e-4)
