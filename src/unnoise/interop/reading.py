"""The one door for files of other libraries: bounded JSON, and safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.runtime.memory import total_bytes

MOST_JSON_BYTES = 1 << 22


def read_json(path: Path) -> Record:
    """The JSON object in a file.

    Raises:
        UserError: where it is missing, larger than any configuration, or no JSON object.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if path.stat().st_size > MOST_JSON_BYTES:
        raise UserError(f"cannot read {path}: it is larger than any configuration")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a JSON object")
    return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating ones as float32, on the CPU.

    Raises:
        UserError: where it is missing, larger than the memory, no safetensors, or holds numbers that are not finite.
    """
    if not path.is_file():
        pickles = sorted(file.name for file in path.parent.glob("*.bin"))
        convert = f"; {pickles[0]} is a pickle, which is not read: save the model as safetensors" if pickles else ""
        raise UserError(f"{path} is missing{convert}")
    if path.stat().st_size > total_bytes():
        raise UserError(f"cannot read {path}: it is larger than this machine's memory")
    try:
        tensors = load_file(path)
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error}") from error
    whole = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    for name, value in whole.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite")
    return whole
