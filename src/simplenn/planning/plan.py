"""What a sweep is about to train."""

from typing import NamedTuple

from simplenn.groups import RunGroup
from simplenn.planning.overrides import Job


class Plan(NamedTuple):
    """The runs in groups, by Hydra's job numbers, and each number's job, in the order of the numbers."""

    groups: list[RunGroup]
    jobs: dict[int, Job]
