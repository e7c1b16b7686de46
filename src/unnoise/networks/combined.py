"""Several conditioners as one, and conditioners from the [model.conditioner] section of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.aliases import Columns, Conditions, Observe, Record, Spec
from unnoise.errors import UserError
from unnoise.networks.conditioner import Conditioner, Conditioning
from unnoise.networks.conditioning import CONDITIONERS
from unnoise.networks.layers import aligned
from unnoise.registry import build, check_keys, spec_of

COMBINED = "combined"


class Combined(Conditioner):
    """Conditioners side by side: vectors and spatial channels are concatenated; at most one gives tokens.

    parts: name -> conditioner, each of which drops its own condition by itself; dropout: the probability of dropping
    all of them, which is the unconditional model of classifier-free guidance.
    Raises UserError when two parts give tokens.
    """

    def __init__(self, parts: Mapping[str, Conditioner], dropout: float = 0.1) -> None:
        super().__init__(dropout)
        self.parts = nn.ModuleDict(parts)
        self._parts = list(parts.values())
        self.vector_dim = sum(part.vector_dim for part in self._parts)
        self.spatial_channels = sum(part.spatial_channels for part in self._parts)
        tokens = [part.token_dim for part in self._parts if part.token_dim]
        if len(tokens) > 1 or not parts:
            raise UserError(f"combined conditioners need parts, at most one with tokens; got {', '.join(parts)}")
        self.token_dim = sum(tokens)
        self.needs = tuple(key for part in self._parts for key in part.needs)
        self.told = tuple(key for part in self._parts for key in part.told)
        self.draws = tuple(key for part in self._parts for key in part.draws)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self._parts for name in part.names)

    @property
    def choices(self) -> Mapping[str, int]:
        return {name: count for part in self._parts for name, count in part.choices.items()}

    def forward(self, cond: Conditions | None, count: int, dropped: Tensor | None = None) -> Conditioning:
        gone = self.drawn(count, dropped)
        return self._joined([part(cond, count, gone) for part in self._parts], count)

    def _joined(self, given: list[Conditioning], count: int) -> Conditioning:
        vectors = [one.vector for one in given if one.vector is not None]
        with_tokens = next((one for one in given if one.tokens is not None), Conditioning())
        return Conditioning(
            vector=torch.cat(vectors, dim=1) if vectors else None,
            tokens=with_tokens.tokens,
            spatial=self._spatial(given, count),
            token_mask=with_tokens.token_mask,
        )

    def _spatial(self, given: list[Conditioning], count: int) -> Tensor | None:
        """All at the largest of their sizes, zeros for those that are missing; None where all are."""
        found = [one.spatial for one in given if one.spatial is not None]
        if not found:
            return None
        height, width = (max(part.shape[side] for part in found) for side in (2, 3))
        parts = [
            found[0].new_zeros(count, part.spatial_channels, height, width)
            if one.spatial is None
            else aligned(one.spatial, (height, width))
            for part, one in zip(self._parts, given, strict=True)
        ]
        return torch.cat(parts, dim=1)

    def derive(self, image: Tensor, cond: Conditions) -> Spec:
        for part in self._parts:
            cond = part.derive(image, cond)
        return cond

    def own(self, seeds: Sequence[int]) -> Spec:
        return {name: rows for part in self._parts for name, rows in part.own(seeds).items()}

    def explain(self, observe: Observe, seen: Tensor, size: tuple[int, int]) -> Spec:
        return {name: rows for part in self._parts for name, rows in part.explain(observe, seen, size).items()}

    def fit(self, images: Callable[[], Iterable[Tensor]]) -> None:
        for part in self._parts:
            part.fit(images)

    def prepare(self, cond: Columns, folder: Path) -> None:
        for part in self._parts:
            part.prepare(cond, folder)

    def notes(self, cond: Columns) -> tuple[str, ...]:
        return tuple(note for part in self._parts for note in part.notes(cond))


def build_conditioner(spec: str | Spec, **found: Any) -> Conditioner:
    """The conditioner a spec describes: 'class', {kind = 'text', dim = 64}, or several together as
    {kind = 'combined', parts = {class = {}, map = {dim = 4}}}. found: `classes`, `channels`, from the data."""
    if isinstance(spec, str) or spec.get("kind") != COMBINED:
        return build(CONDITIONERS, spec, "conditioner", **found)
    check_keys(spec, ("kind", "parts", "dropout"), "conditioner 'combined'")
    parts = {
        name: build(CONDITIONERS, {"kind": name, **options}, "conditioner", **found)
        for name, options in spec.get("parts", {}).items()
    }
    return Combined(parts, **{name: value for name, value in spec.items() if name == "dropout"})


def with_part(spec: str | Spec | None, kind: str) -> Spec:
    """The spec of a conditioner with another one beside it that has only defaults, where it is not there yet."""
    if spec is None:
        return {"kind": kind}
    spec = {"kind": spec} if isinstance(spec, str) else spec
    if spec.get("kind") == kind:
        return spec
    if spec.get("kind") == COMBINED:
        return {**spec, "parts": {kind: {}, **spec.get("parts", {})}}
    own = {name: value for name, value in spec.items() if name != "kind"}
    return {"kind": COMBINED, "dropout": 0.0, "parts": {spec["kind"]: own, kind: {}}}


def with_widths(spec: str | Spec, cond: Conditions) -> Spec:
    """The spec of a conditioner with the widths that it takes from the data (`Conditioner.widths`) written out.

    Args:
        spec: as `build_conditioner` takes it.
        cond: the conditions of a batch of the data.

    Raises:
        UserError: where the data does not have a condition whose width is needed.
    """
    spec = {"kind": spec} if isinstance(spec, str) else spec
    if spec.get("kind") == COMBINED:
        parts = {name: with_widths({"kind": name, **part}, cond) for name, part in spec.get("parts", {}).items()}
        plain = {name: {key: value for key, value in part.items() if key != "kind"} for name, part in parts.items()}
        return {**spec, "parts": plain}
    cls = CONDITIONERS.get(str(spec.get("kind")))
    wanted = {} if cls is None else {option: key for option, key in cls.widths.items() if option not in spec}
    for key in wanted.values():
        if key not in cond:
            raise UserError(
                f"model.conditioner needs a {key} for every image, and the data has none; see docs/data.md for how a "
                "source carries them"
            )
    return {**spec, **{option: int(cond[key].shape[-1]) for option, key in wanted.items()}}


def conditioner_spec(conditioner: Conditioner, without: Iterable[str] = ("classes", "channels")) -> Record:
    """The spec that builds `conditioner`, every default included, except `without`."""
    without = tuple(without)
    if not isinstance(conditioner, Combined):
        return spec_of(CONDITIONERS, conditioner, without)
    specs = {name: spec_of(CONDITIONERS, part, without) for name, part in conditioner.parts.items()}
    parts = {name: {key: value for key, value in spec.items() if key != "kind"} for name, spec in specs.items()}
    return {"kind": COMBINED, "dropout": conditioner.dropout, "parts": parts}
