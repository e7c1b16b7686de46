"""state.json of a checkpoint: the one reader, which believes nothing that it has not checked."""

from __future__ import annotations

import json
import math
import re
import stat
from pathlib import Path
from typing import Any

from unnoise.files import text_digest
from unnoise.io.json_file import json_or

STATE_FILE = "state.json"
State = dict[str, Any]
MOST_BYTES = 1 << 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
DIGEST = re.compile(r"[0-9a-f]{32}")
SEAL = "digest"


class StateError(Exception):
    """What is wrong with a state file."""


def sealed(state: State) -> State:
    """The state with a digest of itself."""
    return {**state, SEAL: text_digest(_canonical(state))}


def read_state(path: Path) -> State:
    """The state: step, images, seconds, best and files, each of the right type; raises StateError."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode) or path.stat().st_size > MOST_BYTES:
            raise StateError("is no state file")
        text = path.read_bytes()
    except OSError as error:
        raise StateError(f"cannot be read: {error.strerror}") from error
    state = json_or(text, None)
    if not isinstance(state, dict):
        raise StateError("is not a JSON object")
    seal = state.pop(SEAL, None)  # version 0.1.0 wrote none
    if seal is not None and seal != text_digest(_canonical(state)):
        raise StateError("was changed after it was written")
    _check(state, path.parent)
    return {"images": 0, "seconds": 0.0, "best": [math.inf, None], **state}


def _check(state: State, folder: Path) -> None:
    _demand(_is_count(state.get("step")), "has no step that is a whole number")
    _demand(_is_count(state.get("images", 0)), "has images that are no whole number")
    _demand(_is_number(state.get("seconds", 0.0)), "has seconds that are no number of at least 0")
    best = state.get("best", [math.inf, None])
    fits = isinstance(best, list) and len(best) == 2 and isinstance(best[0], (int, float))
    _demand(fits and (best[1] is None or _is_count(best[1])), "has a best that is not [loss, step]")
    use = state.get("use")
    _demand(use is None or _is_count(use), "has a checkpoint to use that is no step")
    _demand(isinstance(state.get("guard", {}), dict), "has a guard that is not a JSON object")
    files = state.get("files")
    _demand(isinstance(files, dict), "names no files")
    assert isinstance(files, dict)
    for name, digest in files.items():
        _demand(PLAIN_NAME.fullmatch(name) is not None, f"names {name!r:.80}, which is no file of the checkpoint")
        _demand(isinstance(digest, str) and DIGEST.fullmatch(digest) is not None, f"has no digest of {name}")
        file = folder / name
        _demand(not file.exists() or stat.S_ISREG(file.lstat().st_mode), f"names {name}, which is no plain file")


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StateError(otherwise)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _canonical(state: State) -> str:
    return json.dumps(state, sort_keys=True)
