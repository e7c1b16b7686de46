"""The one door for weights of others: safetensors, and torch's own files read as tensors only.

Nothing in a file is run, and nothing larger than this machine's memory is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from unnoise.aliases import Record, Value
from unnoise.errors import UserError
from unnoise.runtime.memory import total_bytes


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating ones as float32, on the CPU.

    Raises:
        UserError: where it is missing, larger than the memory, no safetensors, or holds numbers that are not finite.
    """
    if not path.is_file():
        pickles = sorted(file.name for file in path.parent.glob("*.bin"))
        convert = f"; {pickles[0]} is a pickle, which is not read: save the model as safetensors" if pickles else ""
        raise UserError(f"{path} is missing{convert}")
    _check_size(path, path.stat().st_size)
    try:
        tensors = load_file(path)
    except safetensors.SafetensorError as error:
        raise UserError(f"cannot read the weights {path}: it is no safetensors file: {error}") from error
    return _finite({name: _float32(value) for name, value in tensors.items()}, path)


def read_torch(path: Path) -> Record:
    """What `torch.save` wrote: a dictionary of tensors, numbers, texts and more dictionaries.

    Tensors stay in the file until they are used, so that an optimizer's state beside the weights costs nothing; `whole`
    reads those that are needed.

    Raises:
        UserError: where it is missing, larger than the memory, of the format before torch 1.6, damaged, or holds
            objects.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"cannot read the weights {path}: it is no file of torch 1.6 or later; load it where it was made, and save "
            "it again"
        )
    _check_size(path, path.stat().st_size)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged pickle makes torch's reader raise anything, from KeyError to struct.error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"cannot read the weights {path} as tensors only, without running what is in it: {reason}"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"cannot read the weights {path}: it holds a {type(found).__name__}, not a dictionary")
    return found


def state_dict(found: Value, what: str) -> dict[str, Tensor]:
    """`found`, as a state dict; UserError where it is something else. what: what it is, for the message."""
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise UserError(f"{what} is no state dict of names and tensors")
    return dict(found)


def whole(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors of `read_torch` read into memory, floating ones as float32; UserError where a number is not finite."""
    return _finite({name: _float32(value).clone() for name, value in tensors.items()}, path)


def _float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _finite(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite")
    return tensors


def _check_size(path: Path, size: int) -> None:
    if size > total_bytes():
        raise UserError(f"cannot read {path}: it is larger than this machine's memory")
