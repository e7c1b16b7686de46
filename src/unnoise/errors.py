"""Errors that speak to users: what was given, what is allowed, what to do. Everything else that is raised is a bug."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave, or the state of their files, does not allow what was asked for."""


def at_least(least: int, given: int, what: str) -> None:
    """Raises UserError where a number that was given is too small."""
    if given < least:
        raise UserError(f"{what}: need at least {least}, got {given}")


class NoSplit(UserError):
    """A source has no split of the name asked for."""


class DamagedSource(UserError):
    """A source is there but holds nothing that can be read."""


class NotApplicable(UserError):
    """A measurement or a task that this kind of model, data or feature space does not have."""


class TrainingDiverged(UserError):
    """Losses or gradients stopped being finite, and going back with lower learning rates did not help."""


class ProcessLost(UserError):
    """Another of the processes that work on one task together has ended."""
