"""The kernel distance."""

from __future__ import annotations

from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics.metric import Line, Metric
from unnoise.metrics.kernel import kernel_distance, squared_mmd

SUBSET = 1000


def kid_name(result: Result) -> str:
    """KID in the features of the literature, else a kernel distance with its features' name."""
    return "KID" if result["features"] == "inception" else f"kernel distance ({result['features']})"


class KernelDistance(Metric):
    """The unbiased squared MMD over subsets of 1000; of fewer images over all, with its standard error."""

    names: ClassVar = ("kid",)
    summary: ClassVar = (
        "unbiased squared kernel distance, over subsets of 1000 or over all images with a standard error "
        "(Binkowski et al. 2018)"
    )
    columns: ClassVar = (Column("kid", "kernel distance", "{:.5f}", name=kid_name),)

    def compute(self, context: Context) -> Result:
        if min(len(context.samples), len(context.reference)) <= SUBSET:
            whole = squared_mmd(context.samples, context.reference)
            return {"kid": whole.value, "kid_stderr": whole.stderr, "kid_interval": list(whole.interval)}
        found = kernel_distance(context.samples, context.reference, subset_size=SUBSET)
        return {"kid": found.mean, "kid_std": found.std, "kid_subsets": {"count": len(found.values), "size": SUBSET}}

    def lines(self, result: Result) -> list[Line]:
        error = ""
        if "kid_interval" in result:
            error = " (95 % interval: {:.5f} to {:.5f})".format(*result["kid_interval"])
        return [(kid_name(result), f"{result['kid']:.5f}{error}")]
