"""Which device computes."""

from __future__ import annotations

import torch


def best_device() -> str:
    """'cuda' where there is one, else 'mps', else 'cpu'."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
