"""Guidance as the user asks for it: by a scale, another run, an interval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unnoise.errors import UserError
from unnoise.guidance import AutoGuidance, ClassifierFree, ClassifierGuidance, Interval
from unnoise.models import Diffusion
from unnoise.models.classifier import Classifier
from unnoise.runs.run import Run


@dataclass(frozen=True)
class GuidanceOptions:
    """scale: of whichever guidance it is; 1 for classifier-free guidance and autoguidance is none.

    classifier: a run of the recipe `classifier`, for classifier guidance; worse: a worse run of the same data, for
    autoguidance; without either, classifier-free guidance. interval: (low, high) in sigma / alpha, guided inside only.
    """

    scale: float = 1.0
    classifier: Path | None = None
    worse: Path | None = None
    interval: tuple[float, float] | None = None

    def for_model(self, model: Diffusion, cond: Any) -> Any:
        """The map of denoisers, or None. Raises UserError for what does not go together."""
        found = self._plain(model, cond)
        if self.interval is None or found is None:
            return found
        return Interval(found, *self.interval)

    def _plain(self, model: Diffusion, cond: Any) -> Any:
        if self.classifier is not None and self.worse is not None:
            raise UserError("give --classifier or --worse, not both")
        if self.classifier is not None:
            return self._by_classifier(self.classifier, model, cond)
        if self.worse is not None:
            worse = Run.open(self.worse).diffusion("--worse", str(model.device))
            return AutoGuidance(worse, self.scale)
        if self.scale == 1:
            return None
        if cond is None:
            raise UserError("--guidance needs a conditional run and something to guide towards, such as a --label")
        return ClassifierFree(self.scale)

    def _by_classifier(self, folder: Path, model: Diffusion, cond: Any) -> ClassifierGuidance:
        judge = Run.open(folder).load(str(model.device))
        if not isinstance(judge, Classifier):
            raise UserError(f"--classifier takes a run of the recipe classifier; {folder} is a {type(judge).__name__}")
        if tuple(judge.shape) != tuple(model.codec.latent_shape):
            raise UserError(f"the classifier sees images {judge.shape}, the run diffuses {model.codec.latent_shape}")
        if cond is None or "label" not in cond:
            raise UserError("--classifier needs a --label to guide towards")
        return ClassifierGuidance(judge.log_prob(model.schedule), self.scale)
