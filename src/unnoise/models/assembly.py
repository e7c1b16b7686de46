"""Models from the [model] section of a configuration, and back."""

from __future__ import annotations

from unnoise.aliases import Record, Spec
from unnoise.models import MODELS
from unnoise.models.image_model import ImageModel
from unnoise.registry import lookup


def build_model(spec: Spec, shape: tuple[int, int, int], classes: int) -> ImageModel:
    """The model that `spec` describes, for images of `shape` (C, H, W) with `classes` labels (0: unlabelled)."""
    options = {name: value for name, value in spec.items() if name != "kind"}
    return lookup(MODELS, spec.get("kind", "diffusion"), "model").build(options, shape, classes)


def model_spec(model: ImageModel) -> Record:
    """The [model] section that builds `model`, every default included."""
    kind = next(name for name, cls in MODELS.items() if type(model) is cls)
    return {"kind": kind, **model.spec()}
