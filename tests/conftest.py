"""What many tests share: the libraries that results are compared with, a cache of one's own, pictures on the disk."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image


def peer(name: str) -> ModuleType:
    """The library; where it is missing the test is skipped, unless UNNOISE_PEERS=required."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if os.environ.get("UNNOISE_PEERS") == "required":
            return import_module(name)
        return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


@pytest.fixture(scope="session")
def unnoise() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `unnoise ARGUMENTS` in a folder, in this process: most of the time of a new one would be torch's import."""

    def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        from unnoise.cli import main

        command = ["unnoise", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(sys, "argv", command),
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def torchvision_operators() -> Iterator[None]:
    """Two of our peers import torchvision, whose compiled operators fit one build of torch alone. Two of them are named
    while it is imported, so they are declared here; nothing calls them."""
    try:
        operators = torch.library.Library("torchvision", "FRAGMENT")
        operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    except RuntimeError:  # a torchvision that declares them itself
        operators = None
    yield
    del operators


@pytest.fixture(scope="session")
def diffusers(torchvision_operators: None) -> ModuleType:
    return peer("diffusers")


@pytest.fixture(scope="session")
def prdc() -> ModuleType:
    return peer("prdc")


@pytest.fixture(scope="session")
def torch_fidelity(torchvision_operators: None) -> ModuleType:
    return peer("torch_fidelity")


@pytest.fixture(scope="session")
def denoising_diffusion_pytorch(torchvision_operators: None) -> ModuleType:
    return peer("denoising_diffusion_pytorch")


@pytest.fixture(scope="session")
def onnx() -> ModuleType:
    return peer("onnx")


@pytest.fixture(scope="session")
def onnxruntime() -> ModuleType:
    peer("onnxscript")
    return peer("onnxruntime")


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests leave in a cache must not serve whoever runs them, nor what lies in theirs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNNOISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def cache_of_short_classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture
def short_classifiers(cache_of_short_classifiers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers whose features are used learn from a sixth of the images, in a cache that no other test reads."""
    monkeypatch.setenv("UNNOISE_CACHE", str(cache_of_short_classifiers))
    monkeypatch.setattr("unnoise.features.classifier.IMAGES_SHOWN", 20_000)


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("UNNOISE_CACHE", str(folder))
    monkeypatch.delenv("UNNOISE_DATA", raising=False)
    return folder


@pytest.fixture
def draw(tmp_path: Path):
    """Writes a picture of random pixels below `tmp_path / set` and gives its array (H, W[, C])."""

    def write(name: str, *shape: int, seed: int = 0, **options) -> np.ndarray:
        array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return array

    return write


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small diffusion run on the embedded digits."""
    from unnoise.training.train import train

    folder = tmp_path_factory.mktemp("evaluation") / "run"
    overrides = {
        "model.network.channels": 8,
        "model.schedule.kind": "linear-betas",
        "model.schedule.T": 50,
        "model.schedule.beta_start": 0.002,
        "model.schedule.beta_end": 0.4,
        "sampler.steps": 5,
        "train.batch_size": 32,
        "train.samples": 0,
        "train.warmup": 10,
    }
    train("digits", "ddpm-digits", folder, steps=150, overrides=overrides, device="cpu")
    return folder


@pytest.fixture(scope="session")
def together() -> Callable[..., None]:
    """Runs `python ARGUMENTS` in `count` processes that work together, as torchrun starts them."""

    def run(count: int, *arguments: str | Path, timeout: float = 600) -> None:
        shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        environment = {**os.environ, **shared, "OMP_NUM_THREADS": "1"}
        processes = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for rank in range(count)
        ]
        for process in processes:
            _, errors = process.communicate(timeout=timeout)
            assert process.returncode == 0, errors[-3000:]

    return run


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
