"""Objects from specs and specs from objects, checked against the annotations of constructors."""

from unnoise.registry.annotations import Amount, Bounds, Count, Fraction, Items, Many, Positive, Sizes, fitted, wanted
from unnoise.registry.plugins import Rows, Table, declared
from unnoise.registry.specs import (
    REQUIRED,
    Option,
    arguments_of,
    build,
    check_keys,
    describe,
    lookup,
    spec_of,
    suggest,
)

__all__ = [
    "REQUIRED",
    "Amount",
    "Bounds",
    "Count",
    "Fraction",
    "Items",
    "Many",
    "Option",
    "Positive",
    "Rows",
    "Sizes",
    "Table",
    "arguments_of",
    "build",
    "check_keys",
    "declared",
    "describe",
    "fitted",
    "lookup",
    "spec_of",
    "suggest",
    "wanted",
]
