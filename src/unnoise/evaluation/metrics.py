"""The measures that `unnoise evaluate` knows by name. Each takes a Context and gives the entries of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.evaluation.context import Context
from unnoise.evaluation.likelihood import auroc_of_scores, bits_per_dim, flow_bits, scored_bits
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

MetricFunction = Callable[[Context], dict[str, Any]]

KID_SUBSET = 1000
RESAMPLES = 20
FLOW_IMAGES = 32
EXACT = 100.0
"""dB: the PSNR of an image that comes back to the bit, which would be infinite."""
OOD_IMAGES = 200
"""Images of each kind that the scores are tried on."""


def frechet(context: Context) -> dict[str, Any]:
    """The Frechet distance, an interval by resampling the samples, and its floor: what held-out real images get."""
    reference = FeatureStatistics.of(context.reference)
    found = frechet_of(FeatureStatistics.of(context.samples), reference)

    def distance(samples: Tensor) -> float:
        return frechet_of(FeatureStatistics.of(samples), reference).distance

    spread = bootstrap(distance, context.samples, resamples=RESAMPLES, seed=context.settings.seed)
    result: dict[str, Any] = {
        "fid": found.distance,
        "fid_interval": list(spread.interval),
        "fid_terms": {"mean": found.mean_term, "covariance": found.covariance_term},
        "fid_name": fid_name(context.extractor.name),
    }
    warning = small_sample_warning(len(context.samples), context.extractor.dim)
    if warning or found.near_singular:
        ranks = f"covariances of rank {found.ranks[0]} and {found.ranks[1]} in {found.dim} dimensions"
        result["fid_warning"] = "; ".join(text for text in (warning, ranks if found.near_singular else "") if text)
    if context.held_out is not None:
        result["fid_baseline"] = {
            "value": distance(context.held_out),
            "n": len(context.held_out),
            "of": "held-out real images",
        }
    return result


def kernel(context: Context) -> dict[str, Any]:
    """KID over subsets of 1000; with fewer images the estimate from all of them, with its standard error."""
    size = min(len(context.samples), len(context.reference))
    if size <= KID_SUBSET:
        whole = squared_mmd(context.samples, context.reference)
        return {"kid": whole.value, "kid_stderr": whole.stderr}
    size = KID_SUBSET
    found = kernel_distance(context.samples, context.reference, subset_size=size)
    return {"kid": found.mean, "kid_std": found.std, "kid_subsets": {"count": len(found.values), "size": size}}


def inception(context: Context) -> dict[str, Any]:
    """The Inception Score by this feature space's own classes."""
    splits = min(10, len(context.samples))
    found = inception_score(context.extractor.probabilities(context.samples), splits=splits)
    return {"inception_score": found.mean, "inception_score_std": found.std}


def precision_recall(context: Context) -> dict[str, Any]:
    """Precision, recall, density and coverage against as many reference images as there are samples."""
    reference = context.as_many(context.reference)
    found = manifold(context.samples, reference)
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


def modes(context: Context) -> dict[str, Any]:
    """The share of every class among the samples, beside the data's."""
    if context.train.labels is None:
        raise UserError("modes are counted by classes, and the data has no labels")
    predicted = context.extractor.probabilities(context.samples).argmax(1)
    names = context.train.classes
    if context.extractor.classes != len(names):
        raise UserError(
            f"modes need features that know the data's classes: use classifier, not {context.extractor.name}"
        )
    found = mode_coverage(predicted, np.array(context.reference_images.labels), classes=len(names))
    return {
        "modes": {
            "covered": found.covered,
            "of": len(names),
            "missing": [names[index] for index in found.missing],
            "missing_expected": found.missing_expected,
            "kl": found.kl,
            "kl_baseline": found.kl_baseline,
            "shares": dict(zip(names, found.shares.tolist(), strict=True)),
            "data_shares": dict(zip(names, found.data_shares.tolist(), strict=True)),
        }
    }


def class_accuracy(context: Context) -> dict[str, Any]:
    """The share of class-conditional samples that the classifier takes for the class they were drawn for."""
    asked = context.drawn.asked
    if asked is None:
        raise UserError(f"class_accuracy needs a class-conditional run; {context.target.name} is none")
    if context.extractor.classes != len(context.train.classes):
        raise UserError(
            f"class_accuracy needs features that know the data's classes: classifier, not {context.extractor.name}"
        )
    right = (context.extractor.probabilities(context.samples).argmax(1).numpy() == asked).mean()
    return {"class_accuracy": float(right), "class_accuracy_stderr": float((right * (1 - right) / len(asked)) ** 0.5)}


def memorised(context: Context) -> dict[str, Any]:
    """The share of samples that lie nearer to a training image than held-out images do, and the closest pairs."""
    if context.test is None:
        raise UserError("memorisation is measured against held-out images, and the data has no test split")
    found = memorisation(context.samples, context.training, context.features_at(context.test, len(context.samples)))
    return {"memorised": found.share, "memorisation": found.summary()}


def restored(context: Context) -> dict[str, Any]:
    """PSNR and SSIM of restored images against the originals, the i-th against the i-th of the reference.

    Raises UserError for a model, which draws images that belong to no original, and for counts that differ.
    """
    images, originals = context.target.images, context.reference_images
    if images is None:
        raise UserError("psnr and ssim compare restored images with their originals: give a folder or array of images")
    if len(images) != len(originals):
        raise UserError(f"psnr and ssim need one original for each image, got {len(images)} and {len(originals)}")
    x, y = (torch.from_numpy(np.array(part.pixels)) for part in (images, originals))
    found = {"psnr": psnr(x, y)}
    if min(x.shape[2:]) >= WINDOW:
        found["ssim"] = ssim(x, y)
    return {name: float(values.mean()) for name, values in found.items()} | {
        f"{name}_stderr": float(values.std() / len(values) ** 0.5) for name, values in found.items()
    }


def reconstruction(context: Context) -> dict[str, Any]:
    """The PSNR of held-out images after encoding and decoding, by an autoencoder or by latent diffusion's codec."""
    originals, back = (torch.from_numpy(part) for part in context.reconstructed)
    found = psnr(back, originals).clamp(max=EXACT)
    return {
        "reconstruction": float(found.mean()),
        "reconstruction_stderr": float(found.std() / len(found) ** 0.5),
        "reconstructed": len(found),
    }


def likelihood(context: Context) -> dict[str, Any]:
    """The bound of the held-out images' probability: a diffusion model's term by term, another's in one."""
    model, images = context.target.model, context.likelihood_images
    x_0 = images.batch(range(min(context.settings.n, len(images))), "cpu" if model is None else model.device).image
    if not isinstance(model, Diffusion) and isinstance(model, CanScore):
        return scored_bits(model, x_0, seed=context.settings.seed)
    return bits_per_dim(context.diffusion, x_0, seed=context.settings.seed, times=context.settings.times)


def flow(context: Context) -> dict[str, Any]:
    """The likelihood by the probability-flow ODE, of at most FLOW_IMAGES held-out images: it takes many calls."""
    images = context.likelihood_images
    count = min(context.settings.n, FLOW_IMAGES, len(images))
    x_0 = images.batch(range(count), context.diffusion.device).image
    return flow_bits(context.diffusion, x_0, seed=context.settings.seed)


def ood_auroc(context: Context) -> dict[str, Any]:
    """How well the model's scores tell its own kind of images from others."""
    known = context.likelihood_images
    return {"ood_auroc": auroc_of_scores(context.diffusion, known, OOD_IMAGES, context.settings.seed)}


MEASURES: dict[str, MetricFunction] = {
    "fid": frechet,
    "kid": kernel,
    "inception_score": inception,
    "precision": precision_recall,
    "recall": precision_recall,
    "density": precision_recall,
    "coverage": precision_recall,
    "modes": modes,
    "class_accuracy": class_accuracy,
    "memorised": memorised,
    "psnr": restored,
    "ssim": restored,
    "reconstruction": reconstruction,
    "bpd": likelihood,
    "ode": flow,
    "ood_auroc": ood_auroc,
}

OF_SAMPLES = set(MEASURES) - {"bpd", "ode", "ood_auroc", "psnr", "ssim", "reconstruction"}
"""Measures that look at samples, not at the model's likelihood."""


def fid_name(features: str) -> str:
    """What a Frechet distance may be called: FID in the features of the literature, else with its features' name."""
    return "FID" if features == "inception" else f"Frechet distance ({features} features)"
