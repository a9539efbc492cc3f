"""What runs of a study are configured with, from the parts or the directories that have them. Imports no torch."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplenn.config import check_config, setting
from simplenn.errors import ConfigError
from simplenn.rundir import Run
from simplenn.sweep.parts import Part, find_parts

if TYPE_CHECKING:
    import polars


class Configurations:
    """Those of the runs of these sweeps; each file is read once."""

    def __init__(self, sweeps: Sequence[Path]) -> None:
        self._sweeps = sweeps
        self._parts: dict[int, dict[int, Part]] = {}  # by sweep and number
        self._of_parts: dict[tuple[int, int], dict[str, Any]] = {}

    def of_each(self, rows: "polars.DataFrame") -> list[dict[str, Any]]:
        """The settings by full key of the runs in these rows, which have `sweep`, `subdir` and `part` as `Study.places`
        does; in a swept number, of any run of its part. Those of a run that has left no sound file are left out."""
        found = [self._of(*row) for row in rows.select("sweep", "subdir", "part").iter_rows()]
        return [own for own in found if own is not None]

    def _of(self, sweep: int, subdir: str, number: int | None) -> dict[str, Any] | None:
        if number is None:
            with suppress(ConfigError, OSError):
                return setting(check_config(Run(self._sweeps[sweep] / subdir).config))
            return None
        if (sweep, number) not in self._of_parts:
            if sweep not in self._parts:
                self._parts[sweep] = {part.number: part for part in find_parts(self._sweeps[sweep])}
            self._of_parts[sweep, number] = setting(self._parts[sweep][number].cfg)
        return self._of_parts[sweep, number]
