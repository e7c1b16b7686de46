"""What encoding and decoding keeps of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry, Result, Section, pair_cards
from unnoise.evaluation.metrics.metric import Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.metrics.restoration import EXACT, mean_with_error, psnr

SHOWN = 18
"""Held-out images that the page shows beside their reconstructions."""


class Reconstruction(Metric):
    """The PSNR of held-out images after encoding and decoding, by an autoencoder or by latent diffusion's codec."""

    names: ClassVar = ("reconstruction",)
    summary: ClassVar = "PSNR of held-out images after encoding and decoding, for autoencoders and latent diffusion"
    needs: ClassVar = (Need.CODEC,)
    columns: ClassVar = (Column("reconstruction", "reconstruction, dB", "{:.2f}"),)

    def compute(self, context: Context) -> Result:
        originals, decoded = (torch.from_numpy(part) for part in context.reconstructed)
        found = psnr(decoded, originals).clamp(max=EXACT)
        return {**mean_with_error("reconstruction", found), "reconstructed": len(found)}

    def pairs(self, context: Context, result: Result) -> np.ndarray | None:
        return np.stack(context.reconstructed, 1)[:SHOWN]

    def sections(self, entries: Sequence[Entry]) -> list[Section]:
        cards = pair_cards([(entry, "") for entry in entries], "reconstruction")
        text = (
            "Images that the model was not trained on, each with what encoding and decoding makes of it to its right."
        )
        return [Section("Reconstructions", text, cards=cards)] if cards else []
