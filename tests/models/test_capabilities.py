"""What models say they can do, which everything outside `models` asks instead of their class."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.errors import NotApplicable, UserError
from unnoise.guidance import ClassifierFree, ClassifierGuidance, Interval
from unnoise.models import CanDenoise, CanReconstruct, CanSample, ImageModel, require
from unnoise.models.assembly import build_model
from unnoise.process.gaussian import perturb
from unnoise.samplers import DDIM

UNET = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}
SMALL = {"schedule": {"kind": "linear-betas", "T": 20}, "network": UNET}
SPECS: dict[str, dict[str, Any]] = {
    "diffusion": SMALL,
    "conditional": {**SMALL, "conditioner": {"kind": "class", "dim": 8}},
    "latent": {
        **SMALL,
        "codec": {"kind": "latents", "autoencoder": {"kind": "vae", "spatial": True, "latent": 2, "channels": 8}},
    },
    "gan": {"kind": "gan", "channels": 8, "latent": 5},
    "vae": {"kind": "vae", "channels": 8, "latent": 5},
    "autoencoder": {"kind": "autoencoder", "channels": 8, "latent": 5},
    "classifier": {"kind": "classifier", "channels": 8},
}
DENOISE = {"diffusion", "conditional", "latent"}
DRAW = {*DENOISE, "gan", "vae"}
every_model = pytest.mark.parametrize("name", SPECS)


def make(name: str) -> ImageModel:
    torch.manual_seed(0)
    return build_model(SPECS[name], (1, 8, 8), classes=3).eval()


@every_model
def test_claims_what_it_can_do(name: str) -> None:
    model = make(name)
    assert isinstance(model, CanSample) == (name in DRAW)
    assert isinstance(model, CanDenoise) == (name in DENOISE)
    assert (model.reconstructor is None) == (name not in {"latent", "vae", "autoencoder"})
    assert model.works_in_latents == (name == "latent")
    assert (model.default_sampler() is None) == (name not in DENOISE)


@pytest.mark.parametrize("name", sorted(DRAW))
def test_the_last_point_of_the_stream_is_the_sample(name: str) -> None:
    model = make(name)
    assert isinstance(model, CanSample)
    sampler = DDIM(steps=3) if name in DENOISE else None
    points = list(model.stream([4, 5], None, sampler))
    assert len(points) == (3 if name in DENOISE else 1)
    assert points[-1].t == 0
    torch.testing.assert_close(model.decode_point(points[-1].x), model.sample([4, 5], None, sampler))


@every_model
def test_takes_no_condition_that_it_does_not_know(name: str) -> None:
    """They were ignored: an unconditional model drew any picture for the label 3."""
    model = make(name)
    if not isinstance(model, CanSample):
        return
    unknown = {"lable": torch.tensor([3])}
    with pytest.raises(UserError, match="lable"):
        model.sample([0], unknown)
    with pytest.raises(UserError, match="lable"):
        list(model.stream([0], unknown))
    label = {"label": torch.tensor([2])}
    if name == "conditional":
        assert model.sample([0], label, DDIM(steps=1)).shape == (1, 1, 8, 8)
    else:
        with pytest.raises(UserError, match="label"):
            model.sample([0], label)


def test_a_classifier_that_guides_takes_the_label() -> None:
    model, label = make("diffusion"), {"label": torch.tensor([2])}
    assert isinstance(model, CanSample)
    guidance = ClassifierGuidance(lambda x, t, label: -x.square().flatten(1).sum(1))
    for guide in (guidance, Interval(guidance, 0.0, 10.0)):
        assert model.sample([0], label, DDIM(steps=1), guide).isfinite().all()
    with pytest.raises(UserError, match="label"):
        model.sample([0], label, DDIM(steps=1), ClassifierFree(2.0))


@pytest.mark.parametrize("name", ["gan", "vae"])
def test_one_step_models_refuse_a_sampler_and_a_guidance(name: str) -> None:
    model = make(name)
    assert isinstance(model, CanSample)
    with pytest.raises(UserError, match="one step"):
        model.sample([0], None, DDIM(steps=2))
    with pytest.raises(UserError, match="one step"):
        model.sample([0], guidance=ClassifierFree(2.0))


@every_model
def test_a_batch_tells_only_what_the_model_takes(name: str) -> None:
    model = make(name)
    batch = Batch(torch.zeros(2, 1, 8, 8), {"label": torch.tensor([0, 1]), "caption": ["a", "b"]})
    told = model.conditions(batch)
    assert (None if told is None else set(told)) == ({"label"} if name == "conditional" else None)


def test_a_low_resolution_condition_comes_with_its_noise() -> None:
    model = build_model({**SMALL, "conditioner": {"kind": "image", "factor": 2}}, (1, 8, 8), classes=0)
    assert model.condition_names == ("image", "image_noise")
    told = model.conditions(Batch(torch.zeros(2, 1, 8, 8), {}))
    assert told is not None
    assert set(told) == {"image"}


@pytest.mark.parametrize("name", sorted(DRAW))
def test_the_counted_module_is_called_once_a_network_call(name: str) -> None:
    model, calls = make(name), []
    assert isinstance(model, CanSample)
    handle = model.counted.register_forward_hook(lambda *_: calls.append(1))
    model.sample([0], None, DDIM(steps=4) if name in DENOISE else None)
    handle.remove()
    assert len(calls) == (4 if name in DENOISE else 1)


def test_require_names_what_is_missing() -> None:
    model = require(make("diffusion"), CanDenoise, "tuning")
    x_t = perturb(model.schedule, torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8), 5)
    assert model.guided()(x_t, torch.tensor(5.0, dtype=torch.float64)).x_0.shape == x_t.shape
    with pytest.raises(NotApplicable, match="tuning needs a diffusion model; this is a gan"):
        require(make("gan"), CanDenoise, "tuning")
    with pytest.raises(NotApplicable, match=r"reconstructing needs .* an autoencoder"):
        require(make("gan"), CanReconstruct, "reconstructing")
