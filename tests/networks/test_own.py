"""Networks of one's own: trained, saved, loaded by their class, and refused with what to do where that is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import unnoise
from unnoise.errors import UserError
from unnoise.networks import NETWORKS
from unnoise.networks.own import register
from unnoise.runs.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network" / "my_network.py"
BRIEF: dict[str, Any] = {"train.batch_size": 8, "train.samples": 0, "sampler.steps": 2}


class Plain(nn.Module):
    def __init__(self, in_channels: int, *, width: int = 4) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.Conv2d(width, in_channels, 1))

    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = set(NETWORKS)
    yield
    for name in set(NETWORKS) - before:
        del NETWORKS[name]


def trained(out: Path, steps: int = 2) -> Run:
    overrides = {**BRIEF, "model.network.width": 5}
    return unnoise.train("builtin:digits", "ddpm", out, steps=steps, network=Plain, overrides=overrides, device="cpu")


def test_it_trains_resumes_loads_and_draws(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    assert run.config["model"]["network"] == {"kind": "Plain", "width": 5}
    assert trained(tmp_path / "run", steps=3).summary["resumed_from"] == 2  # type: ignore[index]
    del NETWORKS["Plain"]
    model = unnoise.load(tmp_path / "run", "cpu", network=Plain)
    assert isinstance(model.network, Plain)
    assert model.network.width == 5
    assert model.sample(n=2, steps=2).shape == (2, 1, 8, 8)  # type: ignore[operator]


def test_without_its_class_a_run_says_what_to_do(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run").folder
    command = [sys.executable, "-m", "unnoise", "sample", str(folder), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unnoise.load(folder, network=Plain)" in done.stderr
    assert "Traceback" not in done.stderr


class Three(nn.Module):
    def forward(self, x: Tensor, noise_level: Tensor, mood: Tensor) -> Tensor:
        return x


class unet(nn.Module):
    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        return x


class Forgetful(nn.Module):
    def __init__(self, *, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Plain(1), "takes the class Plain, not an object"),
        ("Plain", "class of torch.nn.Module"),
        (Three, "must take"),
        (unet, "built-in"),
    ],
    ids=["object", "text", "three arguments", "taken name"],
)
def test_what_is_no_network_is_refused(network: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        register(network)


def test_an_argument_that_is_not_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"self\.width"):
        unnoise.train("builtin:digits", "ddpm", tmp_path / "run", steps=1, network=Forgetful, overrides=BRIEF)


def example() -> ModuleType:
    spec = spec_from_file_location("my_network", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_trains_loads_and_draws(tmp_path: Path) -> None:
    module = example()
    network = module.MyNetwork(3, 3)
    assert network(torch.zeros(2, 3, 7, 9), torch.tensor([1.0, 999.0])).shape == (2, 3, 7, 9)
    picture = module.main(out=str(tmp_path / "run"), minutes=0.01, **BRIEF)
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 32
    body = EXAMPLE.read_text().split("class MyNetwork")[1].split("def main")[0].strip().splitlines()
    assert len(body) <= 24
