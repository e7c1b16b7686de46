"""A column of a comparison: where its values come from and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from unnoise.evaluation.entry import Result


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        key: of the row, and of the result unless `value` looks elsewhere.
        heading: above the column, and before the number that `unnoise evaluate` prints.
        form: how a value is written, a format or a function.
        value: finds it in a result; None where it has none.
        name: the heading in the words of a result, where it depends on the features.
        usual: a value that need not be shown where every row has it.
        missing: what stands where a row has no value.
    """

    key: str
    heading: str
    form: str | Callable[[Any], str] = "{:.3f}"
    value: Callable[[Result], object] | None = None
    name: Callable[[Result], str] | None = None
    usual: object = None
    missing: str = "none"

    def of(self, result: Result) -> object:
        """The value that a row shows; None where the result has none."""
        return result.get(self.key) if self.value is None else self.value(result)

    def title(self, results: Sequence[Result]) -> str:
        """The heading above the values of these results."""
        named = next((result for result in results if self.of(result) is not None), None)
        return self.heading if self.name is None or named is None else self.name(named)

    def text(self, value: object) -> str:
        """The value as it is shown."""
        if value is None:
            return self.missing
        return self.form.format(value) if isinstance(self.form, str) else self.form(value)

    def shown(self, rows: Sequence[Result]) -> bool:
        """Whether any of the rows has something to show."""
        return any(row.get(self.key) not in (None, self.usual) for row in rows)
