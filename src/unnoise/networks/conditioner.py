"""What a network is given beside the noise level, and what makes it from a batch's conditions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from unnoise.aliases import Columns, Conditions, Observe, Spec, Value
from unnoise.errors import UserError
from unnoise.networks.batch_part import uniform_rows


@dataclass(frozen=True)
class Conditioning:
    """vector (B, D); tokens (B, L, D); spatial (B, C, H, W), aligned with the image; scalars (B, K) in [0, 1]. All
    optional.

    token_mask (B, L): True at tokens, False at padding; None where all are tokens. A network takes a missing spatial
    for zeros, and brings one of another resolution to the image's.
    """

    vector: Tensor | None = None
    tokens: Tensor | None = None
    spatial: Tensor | None = None
    token_mask: Tensor | None = None
    scalars: Tensor | None = None


class Conditioner(nn.Module, ABC):
    """Makes a `Conditioning` of a batch's conditions, and of their absence.

    In training a row's condition is dropped with probability `dropout`, so that one network learns the conditional and
    the unconditional model (Ho & Salimans 2022, algorithm 1). The draws come from torch's global generator of the
    conditioner's device; nothing is drawn outside of training.

    Attributes:
        vector_dim, token_dim, spatial_channels: how wide the channels are that it fills, 0 for those it leaves empty.
        needs: the conditions that training data must bring.
        told: conditions that it reads and nobody is asked for: those of training alone, and those that it draws.
        draws: those of `told` that it draws by itself in sampling.
        widths: keyword of the constructor -> the condition of the data whose last dimension it is.
    """

    widths: ClassVar[Mapping[str, str]] = {}

    vector_dim: int = 0
    token_dim: int = 0
    spatial_channels: int = 0
    needs: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()

    def __init__(self, dropout: float) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise UserError(f"a conditioner's dropout must lie in [0, 1]; got {dropout}")
        self.dropout = dropout

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The conditions that `forward` reads, the keys of cond."""

    @property
    def choices(self) -> Mapping[str, int]:
        """The conditions that are one of so many classes, by number."""
        return {}

    @abstractmethod
    def forward(self, cond: Conditions | None, count: int, dropped: Tensor | None = None) -> Conditioning:
        """The conditioning of `count` rows.

        cond: condition -> its value for each row; None for the unconditional model. dropped: bool (count,), rows that
        lose their conditions whatever is drawn here.
        """

    def drawn(self, count: int, dropped: Tensor | None = None) -> Tensor:
        """Which rows lose their condition: bool (count,)."""
        if dropped is None:
            dropped = torch.zeros(count, dtype=torch.bool, device=self.device)
        if self.training and self.dropout > 0:
            dropped = dropped | (uniform_rows(count, self.device) < self.dropout)
        return dropped

    def derive(self, image: Tensor, cond: Conditions) -> Spec:
        """The conditions of training images (B, C, H, W): cond, and what can be made from the images themselves."""
        return cond

    def own(self, seeds: Sequence[int]) -> Spec:
        """The conditions of `draws`, a row from each seed: condition -> rows (N,)."""
        return {}

    def explain(self, observe: Observe, seen: Tensor, size: tuple[int, int]) -> Spec:
        """The conditions of `draws` under which what was seen of some images is expected most: condition -> rows (B,).

        observe: what is seen of images (N, C, H, W). seen: (B, *), of images to be found. size: (H, W), theirs.
        """
        return {}

    def fit(self, images: Callable[[], Iterable[Tensor]]) -> None:
        """Called once before the first step: where to find what `derive` and `own` need to know of all training images.

        images: gives them, in batches of (B, C, H, W) in [-1, 1], anew at each call.
        """

    def prepare(self, cond: Columns, folder: Path) -> None:
        """Called once before training with the conditions of the whole set: where to compute and keep in `folder`
        what is expensive and never changes."""

    def notes(self, cond: Columns) -> tuple[str, ...]:
        """What a user should know about these conditions: what of them is not used."""
        return ()


class SingleConditioner(Conditioner):
    """A conditioner of one condition, called `key`. details: what else it reads where that is given."""

    key: str
    details: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.key, *self.details)

    def forward(self, cond: Conditions | None, count: int, dropped: Tensor | None = None) -> Conditioning:
        value = None if cond is None else cond.get(self.key)
        if cond is None or value is None:
            return self.absent(count)
        # A shape, not a length, of tensors: a length would fix the batch size of an exported graph.
        given = value.shape[0] if isinstance(value, Tensor) else len(value)
        if given != count:
            raise UserError(f"{given} conditions {self.key!r} for {count} images")
        return self.embed(value, self.drawn(count, dropped), cond)

    @abstractmethod
    def absent(self, count: int) -> Conditioning:
        """The conditioning of `count` rows without a condition."""

    @abstractmethod
    def embed(self, value: Value, dropped: Tensor, cond: Conditions) -> Conditioning:
        """The conditioning of a batch's condition; rows where `dropped` is true get that of `absent`."""


class TableConditioner(SingleConditioner):
    """A learned vector for each of `count` classes, and one more for 'no class'. Fills `vector`."""

    def __init__(self, count: int, dim: int, dropout: float) -> None:
        super().__init__(dropout)
        self.count, self.dim = count, dim
        self.vector_dim = dim
        self.table = nn.Embedding(count + 1, dim)

    @property
    def choices(self) -> Mapping[str, int]:
        return {self.key: self.count}

    def absent(self, count: int) -> Conditioning:
        return Conditioning(vector=self.table(torch.full((count,), self.count, device=self.device)))

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        return Conditioning(vector=self.table(value.masked_fill(dropped, self.count)))


def all_dropped(count: int, device: torch.device) -> Tensor:
    """bool (count,): every row loses its condition."""
    return torch.ones(count, dtype=torch.bool, device=device)


def rows(dropped: Tensor, like: Tensor) -> Tensor:
    """bool (B,) in a shape that broadcasts against `like` (B, *)."""
    return dropped.view(-1, *[1] * (like.ndim - 1))
