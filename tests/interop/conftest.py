from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from unnoise.interop.new_run import new_run
from unnoise.models import Diffusion
from unnoise.models.assembly import build_model
from unnoise.runs.run import Run

Saved = Callable[..., Path]


@pytest.fixture
def saved(diffusers: ModuleType, tmp_path: Path) -> Saved:
    """Saves a pipeline of diffusers with a network of these options, and gives the folder."""
    from .topologies import SMALL, randomised

    def save(scheduler: str = "DDPMScheduler", scheduling: dict[str, Any] | None = None, **options: Any) -> Path:
        torch.manual_seed(0)
        unet = randomised(diffusers.UNet2DModel(**{**SMALL, **options}))
        made = getattr(diffusers, scheduler)(**{"num_train_timesteps": 1000, **(scheduling or {})})
        kind = diffusers.DDIMPipeline if scheduler == "DDIMScheduler" else diffusers.DDPMPipeline
        kind(unet=unet, scheduler=made).save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    return save


def quietly(load: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Calls a loader of diffusers, whose warnings are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(*arguments, **options)


def diffusion(run: Run) -> Diffusion:
    model = run.load("cpu")
    assert isinstance(model, Diffusion)
    return model


def our_run(tmp_path: Path, network: dict[str, Any], **parts: Any) -> Run:
    """An untrained run with weights that are nowhere zero."""
    model = {"kind": "diffusion", "network": network, **parts}
    classes = [f"class {index}" for index in range(4)] if "class" in str(parts.get("conditioner")) else []
    found = {"shape": (3, 16, 16), "classes": classes, "sampler": {"kind": "ddim", "steps": 5}}
    from .topologies import randomised

    built = randomised(build_model(model, (3, 16, 16), len(classes)))
    return new_run(tmp_path / "ours", model, built.state_dict(), **found)
