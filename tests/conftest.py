"""The libraries that results are compared with: part of the development extra, and required by `make test`."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from types import ModuleType

import pytest
import torch


def peer(name: str) -> ModuleType:
    """The library; where it is missing the test is skipped, unless UNNOISE_PEERS=required."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if os.environ.get("UNNOISE_PEERS") == "required":
            return import_module(name)
        return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


@pytest.fixture(scope="session")
def diffusers() -> ModuleType:
    return peer("diffusers")


@pytest.fixture(scope="session")
def prdc() -> ModuleType:
    return peer("prdc")


@pytest.fixture(scope="session")
def torch_fidelity() -> ModuleType:
    """torch-fidelity imports torchvision, whose compiled operators fit one build of torch alone. Two of them are named
    while it is imported, so they are declared here; nothing calls them."""
    try:
        torchvision = torch.library.Library("torchvision", "FRAGMENT")
        torchvision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        torchvision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    except RuntimeError:  # a torchvision that declares them itself
        pass
    return peer("torch_fidelity")
