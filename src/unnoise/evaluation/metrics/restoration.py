"""Restored images against their originals."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from unnoise.errors import UserError
from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.metrics.restoration import EXACT, WINDOW, mean_with_error, psnr, ssim


class Restoration(Metric):
    """PSNR and SSIM of restored images against the originals, the i-th against the i-th of the reference."""

    names: ClassVar = ("psnr", "ssim")
    summary: ClassVar = "restored images against their originals, pair by pair (Wang et al. 2004)"
    needs: ClassVar = (Need.IMAGES,)
    columns: ClassVar = (Column("psnr", "PSNR, dB", "{:.2f}"), Column("ssim", "SSIM", "{:.4f}"))

    def compute(self, context: Context) -> Result:
        images, originals = context.target.images, context.reference_images
        assert images is not None
        if len(images) != len(originals):
            raise UserError(f"psnr and ssim need one original for each image, got {len(images)} and {len(originals)}")
        x, y = (torch.from_numpy(np.array(part.pixels)) for part in (images, originals))
        found = {"psnr": psnr(x, y).clamp(max=EXACT)}
        if min(x.shape[2:]) >= WINDOW:
            found["ssim"] = ssim(x, y)
        return {key: value for name, values in found.items() for key, value in mean_with_error(name, values).items()}
