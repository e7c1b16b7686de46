"""unnoise push and unnoise pull."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import Device, Json, Overwrite
from unnoise.cli.output import command, show


def push(
    run: Path,
    where: str,
    /,
    *,
    license: str,
    private: bool = False,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Publish a run: weights, configuration, samples and a model card, in a folder or on the Hugging Face Hub.

    The card says what was trained on, without its paths, and every number with its conditions. The hub needs the extra:
    pip install 'unnoise[hub]', and an account: 'hf auth login'.

    Args:
        run: The folder of a run.
        where: hf://USER/NAME, or a folder.
        license: Of the weights, as the hub calls it: mit, cc-by-4.0, openrail, other.
        private: Make the repository, if it is new, visible to you alone.
    """
    from unnoise.publishing.push import push as publish

    done = publish(run, where, license=license, private=private, overwrite=overwrite, device=device)
    show(done, json, then=command("pull", done["where"], "--out", "runs/NAME"))


def pull(where: str, /, *, out: Path, json: Json = False) -> None:
    """Make a run of a published one. Files are read as numbers and tensors only; nothing in them is ever run.

    Args:
        where: hf://USER/NAME, hf://USER/NAME@REVISION (a tag or a commit), or a folder that 'unnoise push' wrote.
        out: The run's folder.
    """
    from unnoise.runs.hub import pull as fetch

    run = fetch(where, out)
    result = {"run": str(run.folder), "shape": list(run.shape), "classes": len(run.classes), "from": where}
    show(result, json, then=command("sample", run.folder))
