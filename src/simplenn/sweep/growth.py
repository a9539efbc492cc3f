"""Which runs of a command a sweep's directory holds already, which go on from where they are, which are new.

Shapes: R runs of a group.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from simplenn.config import refuse_fewer_epochs, with_length
from simplenn.groups import RunGroup
from simplenn.planning import SUBDIR, Job, Plan, subdirs_of
from simplenn.sweep.inventory import Inventory, StoredRun

AGAIN = {"failed": {"failed"}, "diverged": {"diverged"}, "all": {"failed", "diverged", "done"}}


@dataclass
class Growth:
    """How a command's runs stand to those of the directory."""

    plan: Plan  # what is to be trained
    num_asked: int
    kept: list[tuple[StoredRun, RunGroup]] = field(default_factory=list)  # with the group that asks for it
    going_on: list[tuple[StoredRun, RunGroup]] = field(default_factory=list)  # likewise
    again: list[StoredRun] = field(default_factory=list)  # what trains again from its beginning
    num_others: int = 0  # runs of the directory that this command doesn't ask for

    @property
    def lengths(self) -> dict[int, list[int]]:
        """By each number of epochs the numbers of the runs that the command asks it of, where the sweep has them."""
        lengths: dict[int, list[int]] = {}
        asked = [(group, num) for group in self.plan.groups for num in group.nums]
        for group, num in [*asked, *((group, stored.num) for stored, group in self.kept)]:
            if num >= 0:
                lengths.setdefault(group.num_epochs, []).append(num)
        return lengths

    @property
    def kept_by_status(self) -> Counter[str]:
        return Counter(run.status for run, _ in self.kept)


def lengths_are_swept(groups: Sequence[RunGroup]) -> bool:
    """Whether the command goes over the number of epochs: two runs of one identity differ in it."""
    if len({group.num_epochs for group in groups}) < 2:
        return False
    lengths: dict[str, int] = {}
    return any(
        lengths.setdefault(own, group.num_epochs) != group.num_epochs for group in groups for own in group.identities
    )


def with_lengths(plan: Plan) -> None:
    """Makes the number of epochs a part of each run's identity, for a sweep that goes over it."""
    for group in plan.groups:
        group.identities = [with_length(own, group.num_epochs) for own in group.identities]


def without_twins(plan: Plan) -> Plan:
    """The plan without the jobs whose run is that of a job before them, as where they differ in `quiet` alone."""
    seen: set[str] = set()
    groups, jobs = [], {}
    for group in plan.groups:
        runs = []
        for run, own in enumerate(group.identities):
            if own not in seen:
                seen.add(own)
                runs.append(run)
        if runs:
            groups.append(group if len(runs) == len(group) else group.take(runs))
            jobs |= {num: plan.jobs[num] for num in groups[-1].nums}
    return Plan(groups, dict(sorted(jobs.items())))


def grown(plan: Plan, inventory: Inventory, rerun: str | None) -> Growth:
    """`plan` are the command's checked runs, numbered by their places in it, each once.

    Raises `ConfigError` where one of them is unfinished and has more epochs than the command asks for.
    """
    if not inventory.runs:
        return Growth(plan, num_asked=len(plan.jobs))
    growth = Growth(Plan([], {}), num_asked=len(plan.jobs))
    asked: set[str] = set()
    for group in plan.groups:
        keys, num_epochs = group.identities, group.num_epochs
        asked.update(keys)
        again: list[int] = []
        going_on: dict[int | None, list[int]] = {}  # by the part
        for run, key in enumerate(keys):
            stored = inventory.runs.get(key)
            if stored is None:
                continue
            if rerun is not None and stored.status in AGAIN[rerun]:
                growth.again.append(stored)
                again.append(run)
            elif _is_finished(stored, num_epochs):
                growth.kept.append((stored, group))
            else:
                refuse_fewer_epochs(num_epochs, stored.reached, "an unfinished run of the sweep has", "sweep")
                growth.going_on.append((stored, group))
                going_on.setdefault(stored.part, []).append(run)
        for number, runs in going_on.items():
            taken = _as_stored(group, runs, [inventory.runs[keys[run]] for run in runs])
            taken.part, taken.begun_singly = number, number is None
            _add(growth.plan, taken, [plan.jobs[group.nums[run]] for run in runs])
        if again:
            taken = _as_stored(group, again, [inventory.runs[keys[run]] for run in again])
            taken.rows = []
            _add(growth.plan, taken, [plan.jobs[group.nums[run]] for run in again])
    growth.num_others = len(inventory.runs.keys() - asked)
    _add_new(growth.plan, plan, inventory)
    # What was begun is finished first, in the order in which it was begun: so parts get the numbers that they would
    # have had without an interruption.
    growth.plan.groups.sort(key=lambda group: (group.part is None, group.part or 0, min(group.nums)))
    return replace(growth, plan=Plan(growth.plan.groups, dict(sorted(growth.plan.jobs.items()))))


def _as_stored(group: RunGroup, runs: Sequence[int], stored: Sequence[StoredRun]) -> RunGroup:
    """These runs with the numbers and the places that they have, in the order of their part."""
    order = sorted(range(len(runs)), key=lambda k: stored[k].row)
    taken = group.take([runs[k] for k in order])
    own = [stored[k] for k in order]
    taken.nums = [run.num if run.num >= 0 else num for run, num in zip(own, taken.nums, strict=True)]
    taken.subdirs = [run.subdir for run in own]
    taken.rows = [run.row for run in own]
    return taken


def _add_new(growing: Plan, plan: Plan, inventory: Inventory) -> None:
    """Numbers the new runs by their places in the command, or where these are taken, behind those that are there: a
    command that is given again after a kill comes to the same numbers."""
    taken_nums = {run.num: key for key, run in inventory.runs.items()}
    taken_subdirs = {run.subdir: key for key, run in inventory.runs.items()}
    asked = {num: key for group in plan.groups for num, key in zip(group.nums, group.identities, strict=True)}
    first = _first_number(asked, taken_nums)
    for group in plan.groups:
        keys = group.identities
        runs = [run for run, key in enumerate(keys) if key not in inventory.runs]
        if not runs:
            continue
        jobs = [plan.jobs[group.nums[run]] for run in runs]
        taken = group.take(runs)
        taken.nums = [first + num for num in taken.nums]
        if first:
            taken.subdirs = subdirs_of(taken.composed, taken.nums, jobs, taken.columns)
        for place, run in enumerate(runs):
            taken.subdirs[place] = _free(taken.subdirs[place], keys[run], taken_subdirs)
            taken_subdirs[taken.subdirs[place]] = keys[run]
        _add(growing, taken, jobs)


def _add(plan: Plan, group: RunGroup, jobs: Sequence[Job]) -> None:
    """Adds the group and its jobs. A job that would come to another place than the run has is told that."""
    plan.groups.append(group)
    places = subdirs_of(group.composed, group.nums, jobs, group.columns)
    for num, subdir, place, job in zip(group.nums, group.subdirs, places, jobs, strict=True):
        rest = [override for override in job if not override.startswith(SUBDIR)]
        plan.jobs[num] = job if place == subdir else [*rest, f"{SUBDIR}'{subdir}'"]


def _is_finished(run: StoredRun, num_epochs: int) -> bool:
    return run.status in ("diverged", "failed") or (run.status == "done" and run.epoch >= num_epochs)


def _first_number(asked: dict[int, str], taken: dict[int, str]) -> int:
    """The least multiple of the number of jobs from which on no number belongs to another run than it would get."""
    first = 0
    while any(taken.get(first + num, key) != key for num, key in asked.items()):
        first += len(asked)
    return first


def _free(subdir: str, key: str, taken: dict[str, str]) -> str:
    """The place, or where another run has it, the first with a number behind that is free."""
    candidate, number = subdir, 2
    while taken.get(candidate, key) != key:
        candidate, number = f"{subdir}_{number}", number + 1
    return candidate
