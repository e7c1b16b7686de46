"""Guidance as the user asks for it: by a scale, another run, an interval. `GuidanceOptions` is also the option group of
the command line, so nothing here imports torch before a guidance is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.aliases import Conditions, Record
from unnoise.errors import UserError

if TYPE_CHECKING:
    from unnoise.guidance import ClassifierGuidance
    from unnoise.models import CanDenoise, ImageModel

AT_EARLY = "@early"


@dataclass(frozen=True)
class GuidanceOptions:
    """How strongly samples are pushed, and towards what.

    Args:
        guidance: The scale: of classifier-free guidance towards the conditions (1 is none), or of the guidance that one
            of the next two options chooses.
        classifier: A run of the recipe classifier: classifier guidance of an unconditional run towards the label.
        autoguidance: A less trained run of the same data, or RUN@early for what a run of the recipe auto was early in
            its training: autoguidance, away from what that draws (1 is none).
        interval: LOW HIGH: guide only at noise levels sigma / alpha between these.
    """

    guidance: float = 1.0
    classifier: Path | None = None
    autoguidance: Path | None = None
    interval: tuple[float, float] | None = None

    def for_model(self, model: ImageModel, cond: Conditions | None) -> Any:
        """The map of denoisers that guides `model` towards `cond`; None where nothing is asked for.

        Raises:
            UserError: for options that do not go together, or with this model.
        """
        if self == GuidanceOptions():
            return None
        from unnoise.guidance import Interval
        from unnoise.models.image_model import CanDenoise, require

        found = self._everywhere(model, require(model, CanDenoise, "guidance"), cond)
        if self.interval is None:
            return found
        if found is None:
            raise UserError("--interval limits a guidance, and there is none: give --guidance, or leave it out")
        return Interval(found, *self.interval)

    def text(self) -> str:
        """For names of files: 'guidance2', '' where nothing is asked for."""
        by = [name for name in ("classifier", "autoguidance") if getattr(self, name) is not None]
        within = "" if self.interval is None else "-from{:g}to{:g}".format(*self.interval)
        return f"{by[0] if by else 'guidance'}{self.guidance:g}{within}" if by or self.guidance != 1 else ""

    def _everywhere(self, model: ImageModel, denoiser: CanDenoise, cond: Conditions | None) -> Any:
        from unnoise.guidance import AutoGuidance, ClassifierFree
        from unnoise.models.image_model import CanDenoise, require

        if self.classifier is not None and self.autoguidance is not None:
            raise UserError("give --classifier or --autoguidance, not both")
        if self.classifier is not None:
            return self._by_classifier(self.classifier, model, denoiser, cond)
        if self.autoguidance is not None:
            other = _guiding(self.autoguidance, str(model.device))
            return AutoGuidance(require(other, CanDenoise, "--autoguidance"), self.guidance)
        if self.guidance == 1:
            return None
        if cond is None and not model.own_conditions:
            raise UserError("--guidance needs a conditional run and something to guide towards, such as a --label")
        return ClassifierFree(self.guidance)

    def _by_classifier(
        self, folder: Path, model: ImageModel, denoiser: CanDenoise, cond: Conditions | None
    ) -> ClassifierGuidance:
        from unnoise.guidance import ClassifierGuidance
        from unnoise.models.classifier import Classifier
        from unnoise.runs.run import Run

        classifier = Run.open(folder).load(str(model.device))
        if not isinstance(classifier, Classifier):
            kind = type(classifier).__name__
            raise UserError(f"--classifier takes a run of the recipe classifier; {folder} is a {kind}")
        if tuple(classifier.shape) != tuple(denoiser.codec.latent_shape):
            shape = denoiser.codec.latent_shape
            raise UserError(f"the classifier sees images {classifier.shape}, the run diffuses {shape}")
        if cond is None or "label" not in cond:
            raise UserError("--classifier needs a --label to guide towards")
        return ClassifierGuidance(classifier.log_prob(denoiser.schedule), self.guidance)


def guiding_weights(given: Path) -> Record:
    """Which weights guide, as `Run.weights` says it."""
    from unnoise.runs.checkpoint import EARLY, EMA
    from unnoise.runs.run import Run

    folder, early = _guiding_run(given)
    return Run.open(folder).weights(EARLY if early else EMA)


def _guiding(given: Path, device: str) -> ImageModel:
    from unnoise.runs.run import Run

    folder, early = _guiding_run(given)
    run = Run.open(folder)
    return run.load_early(device) if early else run.load(device)


def _guiding_run(given: Path) -> tuple[Path, bool]:
    """The folder of a run, and whether its early weights are meant; a folder of that very name wins."""
    early = given.name.endswith(AT_EARLY) and not given.exists()
    return (given.with_name(given.name.removesuffix(AT_EARLY)), True) if early else (given, False)
