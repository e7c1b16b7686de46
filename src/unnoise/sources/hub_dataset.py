"""Data sets of the Hugging Face hub, as parquet files: `hf://datasets/OWNER/NAME` or `...@REVISION`."""

from __future__ import annotations

import re
from pathlib import Path

from unnoise.errors import UserError
from unnoise.sources.table_files import PARQUET

HUB_DATASETS = "hf://datasets/"
NAME = re.compile(r"(?P<repository>[\w.-]{1,96}/[\w.-]{1,96})(@(?P<revision>[\w./-]{1,200}))?", re.ASCII)
CONVERTED = "refs/convert/parquet"
"""The branch where the hub keeps the parquet files that it makes of a set of another kind."""
EXTRA = "hf://datasets/ needs the extras: pip install 'unnoise[hub,parquet]'"


def is_hub_dataset(source: str | Path) -> bool:
    """Whether a source is named as a data set of the hub, hf://datasets/OWNER/NAME."""
    return isinstance(source, str) and source.startswith(HUB_DATASETS)


def downloaded(source: str) -> Path:
    """The folder of a set's parquet files, in the hub's own cache, by commit.

    Raises UserError where the name is none, the extra is missing, or the set has no parquet files.
    """
    found = NAME.fullmatch(source.removeprefix(HUB_DATASETS))
    if found is None or ".." in source:
        raise UserError(
            f"{source} is no data set: write {HUB_DATASETS}OWNER/NAME, or {HUB_DATASETS}OWNER/NAME@REVISION"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UserError(EXTRA) from error
    given = found["revision"]
    for revision in (given,) if given else (None, CONVERTED):
        files = [f"*{PARQUET}"]
        folder = snapshot_download(found["repository"], repo_type="dataset", revision=revision, allow_patterns=files)
        if any(Path(folder).rglob(files[0])):
            return Path(folder)
    raise UserError(f"{source} holds no parquet files, and the hub made none of it; download it and give the folder")
