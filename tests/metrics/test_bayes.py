"""Bayes' rule over classes."""

from __future__ import annotations

import math

import pytest
import torch

from unnoise.errors import UserError
from unnoise.metrics.bayes import class_probabilities


def test_it_is_bayes_rule() -> None:
    likelihoods, prior = torch.tensor([[0.2, 0.6], [0.5, 0.1]]), torch.tensor([3.0, 1.0])
    joint = likelihoods * prior / 4
    expected = (joint / joint.sum(1, keepdim=True)).double()
    assert torch.allclose(class_probabilities(likelihoods.log(), prior), expected)


def test_without_a_prior_all_classes_are_equal() -> None:
    assert class_probabilities(torch.zeros(2, 4)).tolist() == [[0.25] * 4] * 2


def test_a_class_that_cannot_be_has_no_probability() -> None:
    assert class_probabilities(torch.zeros(1, 2), torch.tensor([0.0, 1.0])).tolist() == [[0.0, 1.0]]


def test_nats_by_the_thousand_do_not_overflow() -> None:
    found = class_probabilities(torch.tensor([[-4000.0, -4000.0 + math.log(3)]]))
    assert found[0].tolist() == pytest.approx([0.25, 0.75], rel=1e-4)


@pytest.mark.parametrize("prior", [torch.ones(3), torch.tensor([-1.0, 2.0]), torch.zeros(2)])
def test_impossible_priors_are_refused(prior: torch.Tensor) -> None:
    with pytest.raises(UserError, match="2 classes"):
        class_probabilities(torch.zeros(1, 2), prior)
