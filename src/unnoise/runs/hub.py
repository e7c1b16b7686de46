"""Published runs: a folder, or a repository of a hub, with config.json and model.safetensors. Read as numbers and
tensors only; nothing in them is run.

`hf://USER/NAME` or `hf://USER/NAME@REVISION` names a repository, everything else a folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from unnoise.data.cache import cache_folder
from unnoise.errors import UserError
from unnoise.files import claim, new_folder
from unnoise.io.json_file import read_json
from unnoise.models.tensor_files import read_weights
from unnoise.progress import notice
from unnoise.runs.bounds import check_run
from unnoise.runs.checkpoint import save_checkpoint
from unnoise.runs.config import plain, write_config
from unnoise.runs.run import CHECKPOINTS, CONFIG_FILE, Run

HUB = "hf://"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD, SAMPLES = "README.md", "samples.png"
STEP = "step"
"""The key of config.json that is in no config.toml: the step of the weights."""
EXTRA = "hf:// needs the extra: pip install 'unnoise[hub]'"
NAME = re.compile(r"(?P<repository>[\w.-]{1,96}/[\w.-]{1,96})(@(?P<revision>[\w./-]{1,200}))?", re.ASCII)


class Repository(NamedTuple):
    """A repository of a hub; revision: a branch, a tag or a commit, None for the newest."""

    name: str
    revision: str | None

    @property
    def where(self) -> str:
        return f"{HUB}{self.name}{'' if self.revision is None else f'@{self.revision}'}"


def is_hub(where: str | Path) -> bool:
    """Whether a run is named as a repository of the hub, hf://OWNER/NAME."""
    return str(where).startswith(HUB)


def repository(where: str) -> Repository:
    """The repository that `hf://...` names; UserError where it names none."""
    found = NAME.fullmatch(where.removeprefix(HUB))
    if found is None or ".." in where:
        raise UserError(f"{where} is no repository: write {HUB}USER/NAME, or {HUB}USER/NAME@REVISION")
    return Repository(found["repository"], found["revision"])


def pull(where: str | Path, out: str | Path) -> Run:
    """Makes a run of a published one.

    Args:
        where: `hf://USER/NAME[@REVISION]`, or a folder that `unnoise push` wrote.
        out: the run's folder, which must be new or empty.

    Raises:
        UserError: where nothing is published there, or it is damaged.
    """
    out = Path(out)
    claim(out)
    folder = _downloaded(repository(str(where))) if is_hub(where) else Path(where)
    config = read_json(folder / CONFIG)
    step = config.pop(STEP, 0)
    check_run(config, str(folder / CONFIG))
    if type(step) is not int or not 0 <= step < 2**63:
        raise UserError(f"{STEP} in {folder / CONFIG} must be a whole number, got {step!r}")
    weights = read_weights(folder / WEIGHTS)
    with new_folder(out) as partial:
        save_checkpoint(partial / CHECKPOINTS, {"model": weights, "ema": weights}, [], {"step": step})
        write_config(partial / CONFIG_FILE, plain(config))
        Run.open(partial).load("cpu")  # fails here, not later, where the weights do not fit
    return Run.open(out)


def pulled(where: str) -> Run:
    """The run of a repository, in the cache: one folder per commit, made when it is first asked for."""
    asked = repository(where)
    commit = _downloaded(asked).name
    folder = cache_folder() / "hub" / asked.name.replace("/", "--") / commit
    if not (folder / CONFIG_FILE).is_file():
        pull(f"{HUB}{asked.name}@{commit}", folder)
    if asked.revision is None:
        notice(f"note: {where} is at {commit} now; {HUB}{asked.name}@{commit} stays what it is")
    return Run.open(folder)


def _downloaded(asked: Repository) -> Path:
    """The folder of a repository's files, by its commit; only what is read is fetched."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UserError(EXTRA) from error
    files = [CONFIG, WEIGHTS, CARD, SAMPLES]
    return Path(snapshot_download(asked.name, revision=asked.revision, allow_patterns=files))
