"""Which device computes."""

from __future__ import annotations

import torch

from unnoise.errors import UserError


def best_device() -> str:
    """'cuda' where there is one, else 'mps', else 'cpu'."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def devices() -> list[str]:
    """The names of all devices here, 'cpu' last."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def cuda_index(device: str | torch.device) -> list[int]:
    """The index of a CUDA device, as `torch.random.fork_rng` takes it; none for other devices."""
    return [torch.cuda.current_device()] if torch.device(device).type == "cuda" else []


def chosen_device(asked: str | None = None) -> str:
    """The device that was asked for; the best there is where none was.

    Raises:
        UserError: for a device that is not here, naming those that are.
    """
    if asked is None:
        return best_device()
    there = devices()
    named = {"cuda": "cuda:0", "cpu:0": "cpu", "mps:0": "mps"}.get(asked, asked)
    if named not in there:
        raise UserError(
            f"there is no device {asked!r} here; this machine and torch {torch.__version__} have {', '.join(there)}"
        )
    return asked
