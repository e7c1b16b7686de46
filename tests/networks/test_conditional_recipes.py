"""The recipes that steer: built, trained for a step and read back from their own configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unnoise.data import Batch
from unnoise.guidance import ClassifierFree
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.diffusion import Diffusion
from unnoise.networks.combined import with_widths
from unnoise.objectives.assembly import build_objective
from unnoise.runs.config import read_recipe
from unnoise.samplers import DDIM
from unnoise.seeding import StepNoise
from unnoise.sources import open_source

RECIPES = ("ddpm-class", "ddpm-text", "ddpm-map", "ddpm-vector", "sr", "dit")


VECTORS = torch.linspace(-2, 2, 12).reshape(4, 3)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    cache: Path = tmp_path_factory.mktemp("cache")
    images = open_source("glyphs:size=16,n=4,characters=AB", cache=cache, progress=False)
    found = images.batch(range(4))
    return Batch(found.image, {**found.cond, "vector": VECTORS})


@pytest.fixture(params=RECIPES)
def model(request: pytest.FixtureRequest) -> Diffusion:
    """With every parameter off zero, so that conditions show at the output."""
    torch.manual_seed(0)
    spec = read_recipe(request.param)["model"]
    if "conditioner" in spec:
        spec["conditioner"] = with_widths(spec["conditioner"], {"vector": VECTORS})
    made = build_model(spec, (3, 16, 16), 2)
    assert isinstance(made, Diffusion)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def test_a_step_reaches_every_parameter_of_the_network(model: Diffusion, batch: Batch) -> None:
    build_objective({}, model).loss(batch, StepNoise(0)).total.backward()
    still = [name for name, p in model.network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


def test_the_configuration_builds_the_same_model(model: Diffusion) -> None:
    again = build_model(model_spec(model), (3, 16, 16), 2)
    again.load_state_dict(model.state_dict())
    assert model_spec(again) == model_spec(model)


def test_conditions_steer_the_samples_and_guidance_steers_more(model: Diffusion, batch: Batch) -> None:
    model.eval()
    cond, sampler = model.conditions(batch), DDIM(steps=2)
    free, told = (model.sample(range(4), given, sampler) for given in (None, cond))
    if model.conditioner is None:
        assert cond is None
        return
    guided = model.sample(range(4), cond, sampler, ClassifierFree(3.0))
    assert (told - free).abs().max() > 1e-3
    assert (guided - free).square().mean() > (told - free).square().mean()
