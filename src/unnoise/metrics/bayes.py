"""Bayes' rule: from how probable an image is under each class to how probable each class is for the image."""

from __future__ import annotations

from torch import Tensor

from unnoise.errors import UserError


def class_probabilities(log_likelihoods: Tensor, prior: Tensor | None = None) -> Tensor:
    """p(y | x) = p(x | y) p(y) / sum_y p(x | y) p(y).

    Args:
        log_likelihoods: log p(x | y) (N, K) in nats per image, or bounds of it.
        prior: p(y) (K,), normalised here; by default equal.

    Returns:
        (N, K) float64: rows that sum to 1.

    Raises:
        UserError: for a prior of another number of classes, or with a negative probability.
    """
    log_joint = log_likelihoods.double()
    if prior is not None:
        if prior.shape != log_likelihoods.shape[1:] or (prior < 0).any() or prior.sum() <= 0:
            raise UserError(f"need a probability of at least 0 for each of {log_likelihoods.shape[1]} classes")
        log_joint = log_joint + (prior.double() / prior.sum()).log().to(log_joint.device)
    return log_joint.softmax(1)
