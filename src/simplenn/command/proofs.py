"""The proofs of one sweep's groups, each made once: a sweep in batches comes back with parts of the same group.

Imports torch only to prove.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import flatten

if TYPE_CHECKING:
    from simplenn.stacking import Proof

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Planned:
    """A group of runs before any of them is trained; `name_of` tells a run's name by its number."""

    cfg: DictConfig
    columns: Columns
    name_of: Callable[[int], str]

    @property
    def kind(self) -> str:
        """The same for groups that differ in the values of their columns alone."""
        values: Any = OmegaConf.to_container(self.cfg)
        shared = {key: value for key, value in flatten(values).items() if key not in self.columns}
        return repr((sorted(shared.items(), key=str), sorted(self.columns)))

    def spans(self, other: "Planned") -> bool:
        """Whether the other's values all lie between this one's extremes; of seeds, each counts for itself."""
        return all(
            set(values) <= set(self.columns[key])
            if key == "seed"
            else min(self.columns[key]) <= min(values) and max(values) <= max(self.columns[key])
            for key, values in other.columns.items()
        )


class Proofs:
    def __init__(self) -> None:
        self._planned: dict[str, Planned] = {}
        self._proven: dict[str, tuple[Planned, Proof]] = {}

    def plan(self, group: Planned) -> None:
        """Tells of a group; of its kind the one that spans the others is proven for all."""
        before = self._planned.get(group.kind)
        if before is None or group.spans(before):
            self._planned[group.kind] = group

    def of(self, group: Planned, max_stack: int | None) -> "Proof":
        """The group's proof, or that of one that spans it."""
        from simplenn.stacking import prove

        kind = group.kind
        if kind not in self._proven or not self._proven[kind][0].spans(group):
            planned = self._planned.get(kind, group)
            whole = planned if planned.spans(group) else group
            self._proven[kind] = whole, prove(whole.cfg, whole.columns, whole.name_of, max_stack)
        return self._proven[kind][1]
