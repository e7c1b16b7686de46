"""Reference libraries for the tests of metrics; they are optional, so every fact also has a slow check of its own."""

from __future__ import annotations

import warnings
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="session")
def torch_fidelity() -> ModuleType:
    """torch-fidelity, importable beside a CPU torch once the operators that torchvision wants are declared."""
    try:
        torchvision = torch.library.Library("torchvision", "FRAGMENT")
        torchvision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        torchvision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    except RuntimeError:  # a torchvision that declares them itself
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed", exc_type=ImportError)


@pytest.fixture(scope="session")
def compute_prdc():
    """prdc's function; the package is optional."""
    return pytest.importorskip("prdc", reason="prdc is not installed").compute_prdc
