"""The measures that `unnoise evaluate` knows by name. Each takes a Bench and gives the entries of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.evaluation.bench import Bench
from unnoise.evaluation.likelihood import bits_per_dim, flow_bits, scored_bits, told_apart
from unnoise.metrics.frechet import frechet_of
from unnoise.metrics.inception_score import inception_score
from unnoise.metrics.kernel import kernel_distance, squared_mmd
from unnoise.metrics.manifold import Estimate, manifold
from unnoise.metrics.memorisation import memorisation
from unnoise.metrics.modes import mode_coverage
from unnoise.metrics.restoration import WINDOW, psnr, ssim
from unnoise.metrics.statistics import FeatureStatistics
from unnoise.metrics.uncertainty import bootstrap, small_sample_warning
from unnoise.models import CanScore, Diffusion

Measure = Callable[[Bench], dict[str, Any]]

KID_SUBSET = 1000
RESAMPLES = 20
FLOW_IMAGES = 32
EXACT = 100.0
"""dB: the PSNR of an image that comes back to the bit, which would be infinite."""
TOLD_APART = 200
"""Images of each kind that the scores are tried on."""


def frechet(bench: Bench) -> dict[str, Any]:
    """The Frechet distance, an interval by resampling the samples, and its floor: what held-out real images get."""
    reference = FeatureStatistics.of(bench.reference)
    found = frechet_of(FeatureStatistics.of(bench.samples), reference)

    def distance(samples: Tensor) -> float:
        return frechet_of(FeatureStatistics.of(samples), reference).distance

    spread = bootstrap(distance, bench.samples, resamples=RESAMPLES, seed=bench.settings.seed)
    result: dict[str, Any] = {
        "fid": found.distance,
        "fid_interval": list(spread.interval),
        "fid_terms": {"mean": found.mean_term, "covariance": found.covariance_term},
        "fid_name": fid_name(bench.extractor.name),
    }
    warning = small_sample_warning(len(bench.samples), bench.extractor.dim)
    if warning or found.near_singular:
        ranks = f"covariances of rank {found.ranks[0]} and {found.ranks[1]} in {found.dim} dimensions"
        result["fid_warning"] = "; ".join(text for text in (warning, ranks if found.near_singular else "") if text)
    if bench.held_out is not None:
        result["fid_floor"] = {
            "value": distance(bench.held_out),
            "n": len(bench.held_out),
            "of": "held-out real images",
        }
    return result


def kernel(bench: Bench) -> dict[str, Any]:
    """KID over subsets of 1000; with fewer images the estimate from all of them, with its standard error."""
    size = min(len(bench.samples), len(bench.reference))
    if size <= KID_SUBSET:
        whole = squared_mmd(bench.samples, bench.reference)
        return {"kid": whole.value, "kid_stderr": whole.stderr}
    size = KID_SUBSET
    found = kernel_distance(bench.samples, bench.reference, subset_size=size)
    return {"kid": found.mean, "kid_std": found.std, "kid_subsets": {"count": len(found.values), "size": size}}


def inception(bench: Bench) -> dict[str, Any]:
    """The Inception Score by this feature space's own classes."""
    splits = min(10, len(bench.samples))
    found = inception_score(bench.extractor.probabilities(bench.samples), splits=splits)
    return {"inception_score": found.mean, "inception_score_std": found.std}


def balls(bench: Bench) -> dict[str, Any]:
    """Precision, recall, density and coverage against as many reference images as there are samples."""
    reference = bench.as_many(bench.reference)
    found = manifold(bench.samples, reference)
    parts: dict[str, Estimate] = {
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
    }
    values = {name: estimate.value for name, estimate in parts.items()}
    errors = {f"{name}_stderr": estimate.stderr for name, estimate in parts.items()}
    return {
        **values,
        **errors,
        "neighbours": {"k": found.k, "density_k": found.density_k, "references": len(reference)},
    }


def modes(bench: Bench) -> dict[str, Any]:
    """The share of every class among the samples, beside the data's."""
    if bench.train.labels is None:
        raise ValueError("modes are counted by classes, and the data has no labels")
    predicted = bench.extractor.probabilities(bench.samples).argmax(1)
    names = bench.train.classes
    if bench.extractor.classes != len(names):
        raise ValueError(
            f"modes need features that know the data's classes: use classifier, not {bench.extractor.name}"
        )
    found = mode_coverage(predicted, np.array(bench.reference_images.labels), classes=len(names))
    return {
        "modes": {
            "covered": found.covered,
            "of": len(names),
            "missing": [names[index] for index in found.missing],
            "missing_expected": found.missing_expected,
            "kl": found.kl,
            "kl_floor": found.kl_floor,
            "shares": dict(zip(names, found.shares.tolist(), strict=True)),
            "data_shares": dict(zip(names, found.data_shares.tolist(), strict=True)),
        }
    }


def obedience(bench: Bench) -> dict[str, Any]:
    """The share of class-conditional samples that the classifier takes for the class they were drawn for."""
    asked = bench.drawn.asked
    if asked is None:
        raise ValueError(f"class_accuracy needs a class-conditional run; {bench.subject.name} is none")
    if bench.extractor.classes != len(bench.train.classes):
        raise ValueError(
            f"class_accuracy needs features that know the data's classes: classifier, not {bench.extractor.name}"
        )
    right = (bench.extractor.probabilities(bench.samples).argmax(1).numpy() == asked).mean()
    return {"class_accuracy": float(right), "class_accuracy_stderr": float((right * (1 - right) / len(asked)) ** 0.5)}


def memorised(bench: Bench) -> dict[str, Any]:
    """The share of samples that lie nearer to a training image than held-out images do, and the closest pairs."""
    if bench.test is None:
        raise ValueError("memorisation is measured against held-out images, and the data has no test split")
    found = memorisation(bench.samples, bench.training, bench.features_at(bench.test, len(bench.samples)))
    return {"memorised": found.share, "memorisation": found.summary()}


def restored(bench: Bench) -> dict[str, Any]:
    """PSNR and SSIM of restored images against the originals, the i-th against the i-th of the reference.

    Raises ValueError for a model, which draws images that belong to no original, and for counts that differ.
    """
    images, originals = bench.subject.images, bench.reference_images
    if images is None:
        raise ValueError("psnr and ssim compare restored images with their originals: give a folder or array of images")
    if len(images) != len(originals):
        raise ValueError(f"psnr and ssim need one original for each image, got {len(images)} and {len(originals)}")
    x, y = (torch.from_numpy(np.array(part.pixels)) for part in (images, originals))
    found = {"psnr": psnr(x, y)}
    if min(x.shape[2:]) >= WINDOW:
        found["ssim"] = ssim(x, y)
    return {name: float(values.mean()) for name, values in found.items()} | {
        f"{name}_stderr": float(values.std() / len(values) ** 0.5) for name, values in found.items()
    }


def reconstruction(bench: Bench) -> dict[str, Any]:
    """The PSNR of held-out images after encoding and decoding, by an autoencoder or by latent diffusion's codec."""
    originals, back = (torch.from_numpy(part) for part in bench.reconstructed)
    found = psnr(back, originals).clamp(max=EXACT)
    return {
        "reconstruction": float(found.mean()),
        "reconstruction_stderr": float(found.std() / len(found) ** 0.5),
        "reconstructed": len(found),
    }


def likelihood(bench: Bench) -> dict[str, Any]:
    """The bound of the held-out images' probability: a diffusion model's term by term, another's in one."""
    model, images = bench.subject.model, bench.likelihood_images
    x_0 = images.batch(range(min(bench.settings.n, len(images))), "cpu" if model is None else model.device).image
    if not isinstance(model, Diffusion) and isinstance(model, CanScore):
        return scored_bits(model, x_0, seed=bench.settings.seed)
    return bits_per_dim(bench.diffusion, x_0, seed=bench.settings.seed, times=bench.settings.times)


def flow(bench: Bench) -> dict[str, Any]:
    """The likelihood by the probability-flow ODE, of at most FLOW_IMAGES held-out images: it takes many calls."""
    images = bench.likelihood_images
    count = min(bench.settings.n, FLOW_IMAGES, len(images))
    x_0 = images.batch(range(count), bench.diffusion.device).image
    return flow_bits(bench.diffusion, x_0, seed=bench.settings.seed)


def strangers(bench: Bench) -> dict[str, Any]:
    """How well the model's scores tell its own kind of images from others."""
    return {"told_apart": told_apart(bench.diffusion, bench.likelihood_images, TOLD_APART, bench.settings.seed)}


MEASURES: dict[str, Measure] = {
    "fid": frechet,
    "kid": kernel,
    "inception_score": inception,
    "precision": balls,
    "recall": balls,
    "density": balls,
    "coverage": balls,
    "modes": modes,
    "class_accuracy": obedience,
    "memorised": memorised,
    "psnr": restored,
    "ssim": restored,
    "reconstruction": reconstruction,
    "bpd": likelihood,
    "ode": flow,
    "strangers": strangers,
}

OF_SAMPLES = set(MEASURES) - {"bpd", "ode", "strangers", "psnr", "ssim", "reconstruction"}
"""Measures that look at samples, not at the model's likelihood."""


def fid_name(features: str) -> str:
    """What a Frechet distance may be called: FID in the features of the literature, else with its features' name."""
    return "FID" if features == "inception" else f"Frechet distance ({features} features)"
