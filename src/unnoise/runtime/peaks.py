"""What well-known GPUs can do at most: the one table that estimates of time and memory read.

Dense matrix products with fp32 accumulation, as NVIDIA's data sheets state them (half of the figures "with sparsity"):
V100 (2020), T4 (2019), A10 (2021), A100 80 GB SXM (2021), L4 (2023), L40S (2023), H100 SXM (2023), H200 SXM (2024),
HGX B200 (2025, per GPU); RTX 3090 and 4090: the white papers of GA102 (2021) and Ada (2023), fp16 products with fp32
accumulation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from unnoise.errors import UserError
from unnoise.registry import suggest
from unnoise.runtime.precision import PRECISIONS


@dataclass(frozen=True)
class Peak:
    """memory: GB; tflops: precision -> 10^12 operations per second."""

    memory: int
    tflops: dict[str, float]

    def precision(self, asked: str) -> str:
        """What a network computes in there; 'auto' is decided as `chosen_precision` decides it.

        Raises:
            UserError: for what the device does not have.
        """
        if asked == "auto":
            return next(name for name in ("bf16", "tf32", "fp32") if name in self.tflops)
        if asked not in self.tflops:
            raise UserError(f"precision={asked}: the device has {', '.join(self.tflops)}")
        return asked


PEAKS = {
    "V100": Peak(32, {"fp16": 125, "fp32": 15.7}),
    "T4": Peak(16, {"fp16": 65, "fp32": 8.1}),
    "A10": Peak(24, {"bf16": 125, "fp16": 125, "tf32": 62.5, "fp32": 31.2}),
    "A100": Peak(80, {"bf16": 312, "fp16": 312, "tf32": 156, "fp32": 19.5}),
    "L4": Peak(24, {"bf16": 121, "fp16": 121, "tf32": 60, "fp32": 30.3}),
    "L40S": Peak(48, {"bf16": 362, "fp16": 362, "tf32": 183, "fp32": 91.6}),
    "H100": Peak(80, {"bf16": 989, "fp16": 989, "tf32": 495, "fp32": 67}),
    "H200": Peak(141, {"bf16": 989, "fp16": 989, "tf32": 495, "fp32": 67}),
    "B200": Peak(180, {"bf16": 2250, "fp16": 2250, "tf32": 1125, "fp32": 75}),
    "RTX3090": Peak(24, {"bf16": 71, "fp16": 71, "tf32": 35.6, "fp32": 35.6}),
    "RTX4090": Peak(24, {"bf16": 165, "fp16": 165, "tf32": 82.6, "fp32": 82.6}),
}
assert all(name in PRECISIONS for peak in PEAKS.values() for name in peak.tflops)


def parse_devices(text: str) -> tuple[int, str]:
    """(8, 'H100') of '8xH100', (1, 'A100') of 'a100'; UserError for other texts and unknown devices."""
    found = re.fullmatch(r"(?:(\d{1,6})\s*[x*]\s*)?([A-Za-z]\w*)", text.strip())
    if found is None or found[1] == "0":
        raise UserError(f"cannot read devices {text!r}: write a number and a name, such as 8xH100")
    name = found[2].upper()
    if name not in PEAKS:
        raise UserError(f"unknown device {found[2]!r}; {suggest(name, PEAKS)}")
    return int(found[1] or 1), name
