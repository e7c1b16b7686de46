"""Restored images against their originals."""

from __future__ import annotations

from typing import ClassVar

import torch

from unnoise.data.pairs import paired_rows
from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.metrics.restoration import EXACT, WINDOW, mean_with_error, psnr, ssim


class Restoration(Metric):
    """PSNR and SSIM of restored images against the originals, paired by name."""

    names: ClassVar = ("psnr", "ssim")
    summary: ClassVar = "restored images against their originals, pair by pair (Wang et al. 2004)"
    needs: ClassVar = (Need.IMAGES,)
    columns: ClassVar = (Column("psnr", "PSNR, dB", "{:.2f}"), Column("ssim", "SSIM", "{:.4f}"))

    def compute(self, context: Context) -> Result:
        images, originals = context.target.images, context.reference_images
        assert images is not None
        rows, partners = paired_rows(images, originals)
        x, y = torch.from_numpy(images.pixels[rows]), torch.from_numpy(originals.pixels[partners])
        found = {"psnr": psnr(x, y).clamp(max=EXACT)}
        if min(x.shape[2:]) >= WINDOW:
            found["ssim"] = ssim(x, y)
        means = {key: value for name, values in found.items() for key, value in mean_with_error(name, values).items()}
        by = "name" if images.names and originals.names else "position"
        return {**means, "pairs": {"n": len(rows), "by": by, "identical": int((x == y).flatten(1).all(1).sum())}}
