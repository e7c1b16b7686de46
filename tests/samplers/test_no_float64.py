"""What a device without float64 (Apple's MPS) is never asked: no tensor on the model's device is float64.

The model lives on the 'meta' device, which computes shapes and types alone, and every result there is looked at.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unnoise.data.batch import Batch
from unnoise.guidance import ClassifierFree
from unnoise.models.assembly import build_model
from unnoise.objectives.assembly import build_objective
from unnoise.samplers import DDIM, RK45, SAMPLERS, Ancestral, Euler, Sampler
from unnoise.training.ema import EMA
from unnoise.training.optim import clip_gradients, make_optimizer
from unnoise.training.settings import TrainSettings

NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
SENTENCES: dict[str, dict[str, Any]] = {
    "DDPM": {"schedule": {"kind": "linear-betas", "T": 20}},
    "IDDPM": {"schedule": {"kind": "cosine-betas", "T": 20}, "learned_variance": True},
    "EDM": {"schedule": "ve", "parametrization": "edm", "network": {**NETWORK, "time_features": "fourier"}},
    "rectified flow": {"schedule": "straight", "parametrization": "velocity"},
    "transformer": {"schedule": "straight", "network": {"kind": "dit", "patch": 4, "dim": 16, "depth": 1, "heads": 2}},
    "class-conditional": {"schedule": "cosine", "parametrization": "v", "conditioner": {"kind": "class", "dim": 8}},
}
SAMPLED: list[Sampler] = [
    *(kind(steps=4) for kind in SAMPLERS.values() if kind is not RK45),
    DDIM(steps=4, eta=1.0),
    Euler(steps=4, churn=2.0),
]


class NoFloat64(TorchDispatchMode):
    """Refuses what MPS refuses: 'Cannot convert a MPS Tensor to float64 dtype'."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.is_meta and leaf.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{func} makes a {leaf.dtype} of {tuple(leaf.shape)} on the device")
        return result


class DeviceNoise:
    """Draws with no numbers: normals on the device, uniforms on the CPU."""

    def normal(self, like: Tensor) -> Tensor:
        return torch.empty_like(like)

    def uniform(self, count: int) -> Tensor:
        return torch.rand(count, dtype=torch.float64)


def test_the_refusal_itself() -> None:
    with NoFloat64(), pytest.raises(TypeError, match="on the device"):
        torch.zeros(2, device="meta").double()
    with NoFloat64():
        torch.zeros(2).double()


@pytest.mark.parametrize("sampler", SAMPLED, ids=repr)
def test_samplers(sampler: Sampler) -> None:
    model = build_model({"network": NETWORK, **SENTENCES["DDPM"]}, (1, 8, 8), 10).to("meta").eval()
    with NoFloat64():
        assert model.sample(range(3), sampler=sampler).dtype == torch.float32


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_and_guidance(name: str) -> None:
    model = build_model({"network": NETWORK, **SENTENCES[name]}, (1, 8, 8), 10).to("meta").eval()
    conditional = name == "class-conditional"
    cond = {"label": torch.zeros(3, dtype=torch.long, device="meta")} if conditional else None
    with NoFloat64():
        model.sample(range(3), cond, DDIM(steps=4), ClassifierFree(3.0) if conditional else None)
        if name == "IDDPM":
            model.sample(range(3), sampler=Ancestral(steps=4, variance="learned"))


@pytest.mark.parametrize("name", SENTENCES)
def test_a_training_step(name: str) -> None:
    """Loss, gradients, clipping, the optimizer, the average. AdamW's fused kernel exists for MPS and not for 'meta', so
    it is Muon, which ends in AdamW's formula, that takes the step."""
    model = build_model({"network": NETWORK, **SENTENCES[name]}, (1, 8, 8), 10).to("meta").train()
    objective = build_objective({}, model)
    label = {"label": torch.zeros(3, dtype=torch.long, device="meta")} if name == "class-conditional" else {}
    batch = Batch(torch.zeros(3, 1, 8, 8, device="meta"), label)
    with NoFloat64():
        average = EMA(model, 0.99)
        for phase in objective.phases():
            stepping = make_optimizer(phase.parameters, TrainSettings(optimizer="muon"))
            phase.loss(batch, DeviceNoise()).total.backward()
            clip_gradients(phase.parameters, 1.0)
            stepping.step()
        average.update(1)


@pytest.mark.parametrize(
    ("kind", "objective_kind"), [("autoencoder", "reconstruction"), ("vae", "elbo"), ("gan", "adversarial")]
)
def test_a_training_step_of_the_other_families(kind: str, objective_kind: str) -> None:
    model = build_model({"kind": kind}, (1, 16, 16), 0).to("meta").train()
    objective = build_objective({"kind": objective_kind}, model)
    for module in objective.modules().values():
        module.to("meta")
    batch = Batch(torch.zeros(4, 1, 16, 16, device="meta"), {})
    with NoFloat64():
        for phase in objective.phases():
            phase.loss(batch, DeviceNoise()).total.backward()
