"""The proofs of one sweep's groups, each made once: a sweep in batches comes back with parts of the same group.

Imports torch only to prove.
"""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from simplenn.config import flatten
from simplenn.groups import RunGroup

if TYPE_CHECKING:
    from simplenn.stacking import Proof


class Proofs:
    def __init__(self) -> None:
        self._planned: dict[str, RunGroup] = {}
        self._proven: dict[str, tuple[RunGroup, Proof]] = {}

    def plan(self, group: RunGroup) -> None:
        """Announces a group; of groups that differ in their columns' values alone, the one that spans the others is
        proven for all."""
        structure = _structure(group)
        before = self._planned.get(structure)
        if before is None or _spans(group, before):
            self._planned[structure] = group

    def of(self, group: RunGroup) -> "Proof":
        """The group's proof, or that of one that spans it."""
        from simplenn.stacking import prove

        structure = _structure(group)
        if structure not in self._proven or not _spans(self._proven[structure][0], group):
            planned = self._planned.get(structure, group)
            whole = planned if _spans(planned, group) else group
            names = whole.names
            self._proven[structure] = whole, prove(whole.cfg, whole.columns, names.__getitem__)
        return self._proven[structure][1]


def _structure(group: RunGroup) -> str:
    """The same for groups that differ in the values of their columns alone."""
    values: Any = OmegaConf.to_container(group.cfg)
    shared = {key: value for key, value in flatten(values).items() if key not in group.columns}
    return repr((sorted(shared.items(), key=str), sorted(group.columns)))


def _spans(group: RunGroup, other: RunGroup) -> bool:
    """Whether the other's values all lie between the group's extremes; of seeds, each counts for itself."""
    return all(
        set(values) <= set(group.columns[key])
        if key == "seed"
        else min(group.columns[key]) <= min(values) and max(values) <= max(group.columns[key])
        for key, values in other.columns.items()
    )
