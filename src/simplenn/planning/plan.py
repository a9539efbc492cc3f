"""What a sweep is about to train."""

from typing import NamedTuple

from simplenn.groups import RunGroup
from simplenn.planning.overrides import Job, swept_keys


class Plan(NamedTuple):
    """The runs in groups, by Hydra's job numbers, and each number's job, in the order of the numbers."""

    groups: list[RunGroup]
    jobs: dict[int, Job]

    @property
    def swept(self) -> list[str]:
        """The keys that are not the same in all runs, in alphabetical order."""
        keys = set(swept_keys([self.jobs[group.nums[0]] for group in self.groups]))
        for group in self.groups:
            keys |= {key for key, values in group.columns.items() if any(value != values[0] for value in values)}
        return sorted(keys)
