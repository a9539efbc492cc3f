"""What the runs of a part were told, key by key, column by column. Imports no torch.

Shapes: R runs.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import repeat
from typing import Any

import polars
from omegaconf import OmegaConf

from simplenn.planning import is_for_hydra, key_of
from simplenn.sweep.parts import Part
from simplenn.sweep.told import all_canonical, decoded, is_told, number_or_text, told_by, values_told

KEY_PATTERN = r"^\s*[+~]*([^=]*)"


class PartValues:
    """Raises `Damaged` where the part isn't what was written."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._texts: dict[str, str | polars.Series] = {}  # by key; of all runs, or [R]
        for place, text in enumerate(part.structure["overrides"]):
            if text is not None:
                self._texts |= values_told([text])
                continue
            column = part.table[f"override/{place}"]
            keys = column.drop_nulls().str.extract(KEY_PATTERN).unique().to_list()
            if len(keys) == 1 and column.null_count() == 0 and not is_for_hydra(column[0]):
                self._texts[keys[0].strip()] = all_canonical(column.str.extract(r"^[^=]*=(?s:(.*))$").fill_null(""))
            elif len(keys) != 1 or column.null_count():
                self._add_each(column)
        self.keys = {key for key in self._texts if is_told(key)}

    def _add_each(self, column: polars.Series) -> None:
        """At this place the runs have overrides of different keys."""
        for key in {key_of(text) for text in column.drop_nulls().unique().to_list()}:
            own = [values_told([text]).get(key) if text is not None else None for text in column.to_list()]
            before = self._texts.get(key)
            found = polars.Series(own, dtype=polars.String)
            if isinstance(before, str):
                found = found.fill_null(before)
            elif before is not None:
                found = found.zip_with(found.is_not_null(), before)
            self._texts[key] = found

    def constant(self, key: str) -> str | None:
        """The text that all runs have, or `None`."""
        text = self._texts.get(key)
        if text is None:
            return self._elsewhere(key)
        if isinstance(text, polars.Series):
            return text[0] if text.n_unique() == 1 else None
        return text

    def values(self, key: str) -> polars.Series:
        """[R], of numbers where the runs have numbers."""
        kind = self.part.structure["columns"].get(key)
        if kind is not None:
            column = self.part.table[f"column/{key}"]
            return column if kind != "json" else decoded(column)
        text = self._texts.get(key, self._elsewhere(key) if key not in self._texts else "")
        if isinstance(text, polars.Series):
            return text
        return polars.Series([number_or_text(text)]).new_from_index(0, len(self.part.table))

    def _elsewhere(self, key: str) -> str:
        """Of a key that the runs were not told: the option of a group, or what the configuration has."""
        return told_by(key, self._cfg, self._composed)

    @cached_property
    def _cfg(self) -> Any:
        return OmegaConf.to_container(self.part.cfg, resolve=False)

    @cached_property
    def _composed(self) -> Any:
        return _plain(self.part.structure["composed"])


def overrides_of(template: Sequence[str | None], table: polars.DataFrame) -> list[list[str]]:
    """Each run's, of these rows."""
    places = [
        table[f"override/{place}"].to_list() if text is None else repeat(text, len(table))
        for place, text in enumerate(template)
    ]
    if not places:
        return [[] for _ in range(len(table))]
    return [[text for text in own if text is not None] for own in zip(*places, strict=True)]


def _plain(text: str) -> Any:
    """Without anything in it resolved."""
    return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
