"""Types that many packages speak of. What they hold is open on purpose, and checked where it enters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Conditions: TypeAlias = Mapping[str, Any]
"""Condition -> its value for each row: 'label' (B,), 'map' (B, H, W), 'caption' B texts, 'vector' (B, D)."""

Spec: TypeAlias = Mapping[str, Any]
"""What describes a component, a section of a configuration or options: names to TOML values."""

Record: TypeAlias = dict[str, Any]
"""A result or a state as JSON takes it."""

State: TypeAlias = Any
"""What a sampler carries from one step to the next: nobody's business but its own."""

Columns: TypeAlias = Mapping[str, Iterable[Any]]
"""Condition -> its values of a whole set."""

Source: TypeAlias = Any
"""What `unnoise.open_source` takes: a path, a name, an array, a tensor, Images; it checks what it is given."""

Value: TypeAlias = Any
"""One value of a field or a file before it is checked."""

Observe: TypeAlias = Callable[["Tensor"], "Tensor"]
"""What is seen of images (N, C, H, W): all of them, the known pixels, the image at a smaller size."""
