"""Models that draw images: what `sample` is given, read once for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from unnoise.models.image_model import Conditions, Guidance, ImageModel
from unnoise.models.sample_arguments import SampleArguments, sample_arguments
from unnoise.samplers import Sampler


class GenerativeModel(ImageModel):
    """A model of the distribution of images. Together with `stream`, `prior` and `decode_point` it is a `CanSample`."""

    @torch.no_grad()
    def sample(
        self,
        seeds: Sequence[int] | None = None,
        cond: Conditions | None = None,
        sampler: Sampler | str | None = None,
        guidance: Guidance | float | None = None,
        *,
        n: int | None = None,
        steps: int | None = None,
        label: int | Sequence[int] | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] on the model's device, image i from seed i alone.

        A bar on a terminal shows how far it has come, once that takes more than a second.

        Args:
            seeds: one per image; 0 to 15 unless given, or `n`.
            cond: condition -> its value for each image, of `condition_names` or of the guidance's own.
            sampler: of a model that draws in many steps: one, or a text such as 'ddim@50:eta=0.5'; `default_sampler()`
                unless given.
            guidance: of the same: wraps the denoiser, for example a classifier-free guidance; or the scale of one.
            n: so many images, of the seeds 0, 1, ...
            steps: of the sampler, over its own.
            label: the class of all images, or of each, by number.

        Raises:
            UserError: for a condition that neither the model nor the guidance takes, and for a sampler or a guidance of
                a model that draws in one step.
        """
        asked = sample_arguments(self, seeds, cond, sampler, guidance, n=n, steps=steps, label=label)
        self.check_conditions(asked.cond, asked.guidance)
        if len(asked.seeds) == 0:
            return torch.empty(0, *self.shape, device=self.device)
        return self._drawn(asked)

    @abstractmethod
    def _drawn(self, asked: SampleArguments) -> Tensor:
        """The images, of one seed at least."""
