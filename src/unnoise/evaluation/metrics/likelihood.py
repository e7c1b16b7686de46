"""Likelihoods of held-out images: bounds and values, and what they can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from unnoise.evaluation.column import Column
from unnoise.evaluation.context import Context
from unnoise.evaluation.entry import Entry, Figure, Result, Section
from unnoise.evaluation.likelihood import OOD_SETS, auroc_of_scores, bits_per_dim, flow_bits
from unnoise.evaluation.metrics.metric import Line, Metric
from unnoise.evaluation.metrics.need import Need
from unnoise.evaluation.plots import binned, curves

FLOW_IMAGES = 32
OOD_IMAGES = 200
"""Images of each kind that the scores are tried on."""
RAW_BITS = 8.0
WORSE_THAN_RAW = (
    f"raw pixels take {RAW_BITS:g} bits/dim: this model is hardly trained at the least noise, which counts most in the "
    "bound and least in pictures; for likelihoods train --recipe likelihood"
)
TERMS = ("total", "prior", "denoising", "decoder", "stderr")


def _total(result: Result) -> float | None:
    return result["bits_per_dim"]["total"] if "bits_per_dim" in result else None


def _bits_of(result: Result) -> str | None:
    """What the bits are of; those of binary pixels compare with no others."""
    return result["likelihood"].get("of", "levels") if "bits_per_dim" in result else None


def _total_by_ode(result: Result) -> float | None:
    return result["bits_per_dim_ode"]["total"] if "bits_per_dim_ode" in result else None


def _works(result: Result) -> float | None:
    found = result.get("ood_auroc")
    return None if found is None else min(found[name][found["works"]] for name in OOD_SETS)


class BitsPerDim(Metric):
    """The bound of the held-out images' probability: a diffusion model's term by term, another model's in one."""

    names: ClassVar = ("bpd",)
    summary: ClassVar = "likelihood in bits per dimension: the variational bound (Ho et al. 2020), or the model's own"
    needs: ClassVar = (Need.LIKELIHOOD,)
    columns: ClassVar = (
        Column("bits_per_dim", "bits/dim", value=_total),
        Column("bits_of", "bits of", "{}", value=_bits_of, usual="levels", missing=""),
    )

    def compute(self, context: Context) -> Result:
        settings, images = context.settings, context.likelihood_images
        model = context.target.model
        assert model is not None
        x_0 = images.batch(range(min(settings.n, len(images))), model.device).image
        return bits_per_dim(model, x_0, seed=settings.seed, times=settings.times, variance=context.target.variance)

    def lines(self, result: Result) -> list[Line]:
        terms = [(f"bits/dim {name}", _number(value)) for name, value in result["bits_per_dim"].items()]
        wasteful = result["bits_per_dim"]["total"] > RAW_BITS and _bits_of(result) == "levels"
        care = [("  take care", WORSE_THAN_RAW)] if wasteful else []
        return [*terms, *care, ("  how", _how(result["likelihood"], result["data"]["split"]))]

    def figures(self, entries: Sequence[Entry]) -> list[Figure]:
        lines = {e.target.name: binned(e.result["bits_per_t"]) for e in entries if "bits_per_t" in e.result}
        if not lines:
            return []
        return [Figure("Bits per dimension of each step", curves(lines, x="t", y="bits/dim", log="xy"))]

    def sections(self, entries: Sequence[Entry]) -> list[Section]:
        rows = tuple(_cells(entry) for entry in entries if "bits_per_dim" in entry.result)
        headings = ("run", *TERMS[:-1], "standard error", "variance, or kind", "images", "times per image")
        text = "Upper bounds of the bits that one pixel value costs, by term; smaller is better."
        return [Section("Likelihood", text, headings, rows)] if rows else []


class FlowLikelihood(Metric):
    """The likelihood by the probability-flow ODE, of at most FLOW_IMAGES held-out images: it takes many calls."""

    names: ClassVar = ("ode",)
    summary: ClassVar = "likelihood by the probability-flow ODE, exact up to solver tolerance (Song et al. 2021)"
    needs: ClassVar = (Need.DENOISER,)
    columns: ClassVar = (Column("bits_per_dim_ode", "bits/dim by ODE", value=_total_by_ode),)

    def compute(self, context: Context) -> Result:
        images, model = context.likelihood_images, context.target.denoiser()
        count = min(context.settings.n, FLOW_IMAGES, len(images))
        x_0 = images.batch(range(count), model.device).image
        return flow_bits(model, x_0, seed=context.settings.seed)

    def lines(self, result: Result) -> list[Line]:
        found, how = result["bits_per_dim_ode"], result["ode"]
        return [
            ("bits/dim by ODE", f"{found['total']:.5f} +- {_number(found['stderr'])}"),
            ("  how", f"{how['what']}; {how['images']} images, {how['network_calls']} network calls"),
        ]


class OodAuroc(Metric):
    """How well the model's scores tell its own kind of images from others."""

    names: ClassVar = ("ood_auroc",)
    aliases: ClassVar = ("strangers",)
    summary: ClassVar = "AUROC of two scores at telling glyphs and noise from the model's own kind of images"
    needs: ClassVar = (Need.DENOISER,)
    columns: ClassVar = (Column("ood_auroc", "out-of-distribution AUROC", value=_works),)

    def compute(self, context: Context) -> Result:
        known, model = context.likelihood_images, context.target.denoiser()
        return {"ood_auroc": auroc_of_scores(model, known, OOD_IMAGES, context.settings.seed)}

    def lines(self, result: Result) -> list[Line]:
        return [
            (f"AUROC against {name}", ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in found.items()))
            for name, found in _by_set(result)
        ]

    def sections(self, entries: Sequence[Entry]) -> list[Section]:
        rows = tuple(
            (entry.target.name, name, f"{found['bits_per_dim']:.3f}", f"{found['denoising_error']:.3f}", _best(entry))
            for entry in entries
            if "ood_auroc" in entry.result
            for name, found in _by_set(entry.result)
        )
        headings = ("run", "against", "bits/dim", "denoising error", "better score")
        text = (
            "How often an image of another kind scores as less likely than one of the model's own kind (AUROC: 1 is "
            "always, 0.5 is chance; below that the other kind looks more familiar)."
        )
        return [Section("Out-of-distribution images", text, headings, rows)] if rows else []


def _by_set(result: Result) -> list[tuple[str, Mapping[str, float]]]:
    return [(name, result["ood_auroc"][name]) for name in OOD_SETS]


def _best(entry: Entry) -> str:
    return entry.result["ood_auroc"]["works"].replace("_", " ")


def _cells(entry: Entry) -> tuple[str, ...]:
    bits, how = entry.result["bits_per_dim"], entry.result["likelihood"]
    return (
        entry.target.name,
        *(_number(bits[term]) if term in bits else "" for term in TERMS),
        how["variance"] if "variance" in how else f"{how['what']} of {how['of']}",
        str(how["images"]),
        f"{how['times_per_image']} of {how['steps']}" if "steps" in how else "",
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.5f}"


def _how(how: Mapping[str, object], split: str) -> str:
    if "times" not in how:
        return f"{how['what']} of {how['of']}, {how['images']} images of the {split} split"
    times = f"{how['times']} ({how['times_per_image']} of {how['steps']})"
    return f"{how['what']}; variance {how['variance']}; {times} on each of {how['images']} images of the {split} split"
