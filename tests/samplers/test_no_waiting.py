"""Sampling waits for no device: nothing in the loop reads a number back, and only noise is sent.

The model lives on the 'meta' device, which has no numbers: reading one, or copying it to the CPU, is an error there.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unnoise.guidance import ClassifierFree, Interval
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.samplers import DDIM, RK45, SAMPLERS, Ancestral, Euler, Heun, Sampler

NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
SENTENCES = {
    "DDPM": {"schedule": {"kind": "linear-betas", "T": 20}},
    "IDDPM": {"schedule": {"kind": "cosine-betas", "T": 20}, "learned_variance": True},
    "EDM": {"schedule": "ve", "parametrization": "edm", "network": {**NETWORK, "time_features": "fourier"}},
    "rectified flow": {"schedule": "straight", "parametrization": "velocity"},
    "transformer": {"schedule": "straight", "network": {"kind": "dit", "patch": 4, "dim": 16, "depth": 1, "heads": 2}},
    "class-conditional": {"schedule": "cosine", "parametrization": "v", "conditioner": {"kind": "class", "dim": 8}},
}
ADAPTIVE = (RK45,)
"""The reference reads its own error estimates."""
QUICK: list[Sampler] = [kind(steps=4) for kind in SAMPLERS.values() if kind not in ADAPTIVE]
MORE: list[Sampler] = [DDIM(steps=4, eta=1.0), Euler(steps=4, churn=2.0), Heun(steps=4, churn=2.0)]


class Sent(TorchDispatchMode):
    """The shapes of what is copied from the CPU to the model's device."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        moved = "copy" in str(func) and isinstance(result, Tensor) and result.is_meta
        if moved and any(isinstance(arg, Tensor) and not arg.is_meta for arg in args):
            self.shapes.append(result.shape)
        return result


def on_meta(spec: dict[str, Any]) -> Diffusion:
    model = build_model({"network": NETWORK, **spec}, (1, 8, 8), classes=10)
    assert isinstance(model, Diffusion)
    return model.to("meta").eval()


def drawn_noise(sampler: Sampler) -> bool:
    return sampler.order == 0 or getattr(sampler, "eta", 0) > 0 or getattr(sampler, "churn", 0) > 0


CASES = [
    *((sampler, SENTENCES["DDPM"]) for sampler in [*QUICK, *MORE]),
    *((DDIM(steps=4), spec) for name, spec in SENTENCES.items() if name != "DDPM"),
]


@pytest.mark.parametrize(("sampler", "spec"), CASES, ids=repr)
def test_nothing_is_read_and_only_noise_is_sent(sampler: Sampler, spec: dict[str, Any]) -> None:
    model, sent = on_meta(spec), Sent()
    with sent:
        assert model.sample(range(3), sampler=sampler).is_meta
    assert sent.shapes[:1] == [(3, 1, 8, 8)]
    assert set(sent.shapes) == {(3, 1, 8, 8)}
    assert (len(sent.shapes) > 1) == drawn_noise(sampler)


def test_a_learned_variance_is_not_read_either() -> None:
    model = on_meta(SENTENCES["IDDPM"])
    assert model.sample(range(3), sampler=Ancestral(steps=4, variance="learned")).is_meta


@pytest.mark.parametrize("guidance", [ClassifierFree(3.0), Interval(ClassifierFree(3.0), 0.1, 2.0)], ids=repr)
def test_guidance_sends_nothing(guidance: Any) -> None:
    model, sent = on_meta(SENTENCES["class-conditional"]), Sent()
    with sent:
        model.sample(range(3), {"label": torch.zeros(3, dtype=torch.long, device="meta")}, DDIM(steps=4), guidance)
    assert sent.shapes == [(3, 1, 8, 8)]
