"""Weights of foreign networks: fetched once, checked, and read without running anything that is in the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from unnoise.errors import UserError
from unnoise.features.folding import fold_norms


@dataclass(frozen=True)
class Published:
    """A file of weights that everyone means: where it is to be had, and its SHA-256."""

    url: str
    sha256: str

    def in_folder(self, folder: str | Path) -> Path:
        """The file in `folder`, downloaded when it is not there; raises UserError that says what to put where."""
        path = Path(folder) / self.url.rsplit("/", 1)[-1]
        if path.is_file():
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(path), hash_prefix=self.sha256, progress=False)
        except (OSError, RuntimeError) as error:
            raise UserError(f"cannot download the weights ({error}); put {self.url} into {path.parent}") from None
        return path


def load_published(network: nn.Module, path: str | Path, sha256: str) -> None:
    """Loads the state dict of a published file into a network that from then on only computes: frozen, its batch norms
    in its convolutions, its weights in the order that convolutions read fastest.

    Raises:
        UserError: where the file is missing, or another.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise UserError(f"{path} is not the published weights file: its SHA-256 is {digest}, not {sha256}")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)
    fold_norms(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
