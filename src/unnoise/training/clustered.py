"""Whether the network is told in which cluster of like images each one is, where the configuration leaves it open."""

from __future__ import annotations

from unnoise.aliases import Spec
from unnoise.runs.config import Config

AUTO, NONE = "auto", "none"
MOST = 200
"""Clusters, at most (docs/lab.md)."""
IMAGES = 15
"""Images in a cluster, on average, at least: of fewer a network learns the images themselves."""


def clustered(config: Config, count: int, stored: Config | None) -> tuple[Config, tuple[str, ...]]:
    """The configuration with a model.conditioner of 'auto' or 'none' decided, and a note on what was chosen.

    count: of the images. stored: the configuration of the run that goes on, whose choice stays.
    """
    model = config.get("model", {})
    asked = model.get("conditioner")
    if asked not in (AUTO, NONE):
        return config, ()
    rest = {name: part for name, part in model.items() if name != "conditioner"}
    chosen = _chosen(count) if stored is None else stored["model"].get("conditioner")
    if asked == NONE or chosen is None:
        return {**config, "model": rest}, ()
    made = {**config, "model": {**rest, "conditioner": chosen}}
    return made, () if stored is not None else (_note(chosen["clusters"]),)


def _note(clusters: int) -> str:
    return (
        f"the network is told in which of {clusters} clusters of like images each one is, and shown their mean; "
        "samples are of each cluster as often as images are in it (model.conditioner)"
    )


def _chosen(count: int) -> Spec | None:
    clusters = min(MOST, count // IMAGES)
    return {"kind": "cluster", "clusters": clusters, "shown": True} if clusters > 1 else None
