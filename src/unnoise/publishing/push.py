"""Publishing a run: to a folder, or to a repository of a hub."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.files import claim, json_text, new_folder
from unnoise.models.image_model import CanSample
from unnoise.publishing.model_card import card
from unnoise.runs.checkpoint import to_load
from unnoise.runs.hub import CARD, CONFIG, EXTRA, HUB, SAMPLES, STEP, WEIGHTS, is_hub, repository
from unnoise.runs.paths import without_paths
from unnoise.runs.run import CHECKPOINTS, Run
from unnoise.sampling.generate import generate

SHOWN = 16
"""Samples in the grid, of the seeds 0, 1, ...: not chosen."""
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.ASCII)


def push(
    run: Run | str | Path,
    where: str | Path,
    *,
    license: str,
    private: bool = False,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """Publishes the averaged weights of a run, its configuration without paths, a model card and samples.

    Args:
        run: a trained run, or its folder.
        where: `hf://USER/NAME`, or a folder.
        license: of the weights, as the hub calls it.
        private: whether a repository that is made is seen by its owner alone.
        overwrite: whether a folder may be replaced.
        device: where the samples are drawn.

    Returns:
        run, where, files.

    Raises:
        UserError: where the run is untrained, the licence is none, or the folder is taken.
    """
    run = Run.open(run)
    if LICENSE.fullmatch(license) is None:
        raise UserError(f"--license takes the hub's name of a licence, such as mit or cc-by-4.0; got {license!r}")
    if is_hub(where):
        return _to_hub(run, str(where), license, private, device)
    folder = Path(where)
    claim(folder, overwrite=overwrite, inputs=[run.folder])
    with new_folder(folder) as partial:
        files = write_published(run, partial, folder.resolve().name, license, device)
    return {"run": str(run.folder), "where": str(folder), "files": files}


def _to_hub(run: Run, where: str, license: str, private: bool, device: str | None) -> Record:
    asked = repository(where)
    if asked.revision is not None:
        raise UserError(f"a run is pushed to the main branch: leave @{asked.revision} out")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError(EXTRA) from error
    with TemporaryDirectory() as folder:
        files = write_published(run, Path(folder), asked.name.split("/")[1], license, device)
        hub = HfApi()
        hub.create_repo(asked.name, private=private, exist_ok=True)
        commit = hub.upload_folder(repo_id=asked.name, folder_path=folder, commit_message="Upload with unnoise push")
    return {"run": str(run.folder), "where": f"{HUB}{asked.name}", "commit": commit.oid, "files": files}


def write_published(run: Run, folder: Path, name: str, license: str, device: str | None) -> list[str]:
    """Writes what is published of a run; the names of the files."""
    checkpoint, _ = to_load(run.folder / CHECKPOINTS)
    if checkpoint is None:
        raise UserError(f"{run.folder} has no checkpoint to publish; train it first")
    config = {**without_paths(run.config), STEP: checkpoint.step}
    (folder / CONFIG).write_text(json_text(config, indent=1), encoding="utf-8")
    save_file(checkpoint.tensors("ema"), folder / WEIGHTS, metadata={"format": "pt"})
    draws = isinstance(run.model(), CanSample)
    if draws:
        generate(run.folder, range(SHOWN), out=folder / SAMPLES, device=device)
    (folder / CARD).write_text(card(run, name, license, has_samples=draws), encoding="utf-8")
    return sorted(file.name for file in folder.iterdir())
