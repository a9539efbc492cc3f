"""A sweep in its directory: new, or gone on with, by the runs that are there. Imports no torch where nothing is left to
be done."""

import logging
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from hydra.utils import get_class
from omegaconf import DictConfig

from simplenn.command import directory, sweep_directory
from simplenn.errors import ConfigError
from simplenn.groups import RunGroup
from simplenn.planning import Plan
from simplenn.report.summary import SUMMARY
from simplenn.rundir import Run, code_of, going_on_with_other_code, other_code, package_versions, remove_left_overs
from simplenn.rundir.atomic import remove_tree, restore_directories
from simplenn.rundir.lock import NAME as LOCK
from simplenn.rundir.lock import Lock, remove_dead
from simplenn.sweep.growth import Growth, grown, lengths_are_swept, with_lengths, without_twins
from simplenn.sweep.inventory import Inventory, StoredRun, differences
from simplenn.sweep.multirun import MULTIRUN, write_multirun
from simplenn.sweep.parts import set_aside, tidy
from simplenn.sweep.results import noted_state, reason_not_as_written, state_of
from simplenn.sweep.run_directories import are_wanted, is_missing

log = logging.getLogger(__name__)

MOST_DIFFERENCES = 6  # that one line names


class GoingOn:
    """`plan` is what the command has to train, `growth` how that came about, `path` the directory, once it has one.

    Both are made anew under the directory's lock by `begin`, which is not called where nothing `is_left` to be done: no
    file is touched then.
    """

    def __init__(self, plan: Plan, sweep: DictConfig) -> None:
        self._sweep = sweep
        self._asked = plan
        self._lock: Lock | None = None
        self.path = sweep_directory.existing(sweep)
        if self.path is not None:
            directory.assign(sweep, "sweep", self.path)
        self._look()

    def _look(self) -> None:
        are_swept = lengths_are_swept(self._asked.groups)
        self.inventory = Inventory(self.path, with_lengths=are_swept) if self.path is not None else None
        if are_swept or (self.inventory is not None and self.inventory.with_lengths):
            with_lengths(self._asked)
        asked = without_twins(self._asked)
        self._num_twins = len(self._asked.jobs) - len(asked.jobs), len(self._asked.jobs)
        if self.inventory is None:
            self.growth = Growth(asked, num_asked=len(asked.jobs))
        else:
            self.growth = grown(asked, self.inventory, self._sweep.rerun)

    @property
    def asked(self) -> Plan:
        """All runs of the command, those that are kept among them."""
        return self._asked

    @property
    def plan(self) -> Plan:
        return self.growth.plan

    @property
    def is_begun(self) -> bool:
        return self._lock is not None

    @property
    def num_runs(self) -> int:
        """Of the sweep, once this command has trained its own."""
        return self.growth.num_asked + self.growth.num_others

    @property
    def is_left(self) -> bool:
        """Whether anything is to be trained, or a kill has left a file out that derives from what was trained."""
        if self.plan.jobs or self.inventory is None or self.inventory.damaged:
            return True
        is_told = sweep_directory.is_told(self.inventory.sweep)
        return not (is_told and _table_is_whole(self.inventory)) or bool(self.without_directory())

    def without_directory(self) -> list[StoredRun]:
        """The stacked runs that should have a directory of their own, and have none, or one of fewer epochs."""
        if self.inventory is None or not are_wanted(self._sweep.run_dirs, self.num_runs):
            return []
        stacked = [run for run in self.inventory.runs.values() if run.part is not None]
        return [run for run in stacked if not _has_directory(self.inventory.sweep / run.subdir, run)]

    def begin(self) -> None:
        """Takes the directory, which no other process works in from now on. Raises `ConfigError` where one does, and
        `Unwritable`."""
        try:
            self._begin()
        except BaseException:
            self.end()
            raise

    def _begin(self) -> None:
        if self.path is None:
            self.path = directory.claim(self._sweep, "sweep")
            self._lock = Lock(self.path)
        else:
            self._lock = Lock(self.path)
            self._tidy()
            self._look()  # another process may have been at work until now
            assert self.inventory is not None
            for path, reason in self.inventory.damaged:
                set_aside(path, reason)
            told = self.path / MULTIRUN
            if told.exists() and not sweep_directory.is_told(self.path):
                set_aside(told, f"{told} is damaged")
            for run in self.growth.again:
                remove_tree(self.path / run.subdir)
            if not hasattr(get_class(self._sweep.hydra.launcher._target_), "launch_groups"):
                for group in self.plan.groups:
                    go_on_singly(group, self.path)
        write_multirun(self.path, self._sweep, self.num_runs, self._asked.swept, self.growth.lengths)

    def _tidy(self) -> None:
        """Removes what a killed process has left, wherever runs have their places."""
        assert self.path is not None and self.inventory is not None
        tidy(self.path)
        subdirs = [
            *(run.subdir for run in self.inventory.runs.values()),
            *(subdir for group in self._asked.groups for subdir in group.subdirs),
        ]
        for folder in {self.path / os.path.dirname(subdir) for subdir in subdirs}:
            restore_directories(folder)
            remove_left_overs(folder)
        for run in self.inventory.runs.values():
            if run.part is None:  # one that trains again removes it itself
                remove_dead(self.path / run.subdir)

    def leave(self) -> None:
        """Tidies up where nothing `is_left` but what a process has left that was killed at its very end: its lock, for
        one."""
        if self.path is None or not (self.path / LOCK).exists():
            return
        with suppress(ConfigError, OSError):  # a process that holds it tidies up itself
            self._lock = Lock(self.path)
            try:
                self._tidy()
            finally:
                self.end()

    def say(self) -> None:
        """How much of what the command asks for is there."""
        self._warn_of_other_code()
        if self._sweep.quiet:
            return
        growth = self.growth
        if self._num_twins[0]:
            log.info("%d of %d jobs are left out, as their runs are those of others", *self._num_twins)
        if self.inventory is None or not (self.inventory.runs or self.inventory.damaged):
            return
        done, to_train = len(growth.kept), len(self.plan.jobs)
        if not to_train:
            log.info("nothing to do: all %s runs are there already", f"{done:,}")
        else:
            num_going_on = len(growth.going_on)
            going_on = f", of which {num_going_on:,} go on from where they are" if num_going_on else ""
            log.info("%s of %s done, %s to train%s", f"{done:,}", f"{growth.num_asked:,}", f"{to_train:,}", going_on)
        if growth.num_others:
            log.info("%s runs of the sweep are none of this command's; they stay", f"{growth.num_others:,}")
        if num_longer := sum(stored.epoch > group.num_epochs for stored, group in growth.kept):
            log.info("%s kept runs have more epochs than this command asks for; they stay", f"{num_longer:,}")
        if failed := growth.kept_by_status["failed"]:
            log.info("%s kept runs have failed; rerun=failed trains them again", f"{failed:,}")
        self._say_differences()

    def _say_differences(self) -> None:
        """What the kept runs were trained with, where that is something else than now."""
        assert self.inventory is not None
        versions = package_versions()
        known: dict[tuple[int | str, str], list[str]] = {}  # by the runs' origin, and the group that asks for them
        found: Counter[str] = Counter()
        for stored, group in self.growth.kept:
            key = stored.origin, group.subdirs[0]
            if key not in known:
                known[key] = differences(self.inventory.origins[stored.origin], group.cfg, versions)
            found.update(known[key])
        if found:
            texts = [text for text, _ in found.most_common(MOST_DIFFERENCES)]
            more = f" and {len(found) - len(texts)} more" if len(found) > len(texts) else ""
            log.info(
                "%s kept runs were trained with %s%s; rerun=all trains them again",
                f"{max(found.values()):,}",
                ", ".join(texts),
                more,
            )

    def _warn_of_other_code(self) -> None:
        """Of runs that go on with other code than they have their epochs from."""
        known: dict[tuple[int | str, str], list[str]] = {}  # by the runs' origin, and the group that asks for them
        num_runs, found = 0, dict[str, None]()
        for stored, group in self.growth.going_on:
            assert self.inventory is not None
            key = stored.origin, group.subdirs[0]
            if key not in known:
                known[key] = other_code(self.inventory.origins[stored.origin].code, code_of(group.cfg))
            if stored.epoch and known[key]:
                num_runs += 1
                found |= dict.fromkeys(known[key])
        if found:
            log.warning("%s runs go on whose epochs so far %s", f"{num_runs:,}", going_on_with_other_code(list(found)))

    def end(self) -> None:
        """Lets go of the directory."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def go_on_singly(group: RunGroup, sweep: Path) -> None:
    """Writes the directories of runs whose training as a stack was left, so that each goes on from there by itself."""
    if group.part is None:
        return
    from simplenn.sweep.parts import left_part, read_group
    from simplenn.sweep.record import write_directories_of

    write_directories_of(read_group(left_part(sweep, group.part), group.rows), sweep)


def _table_is_whole(inventory: Inventory) -> bool:
    """Whether `results.csv` is as it was written, of the runs as they are now, and `summary.csv` is there."""
    if reason_not_as_written(inventory.sweep) or not (inventory.sweep / SUMMARY).is_file():
        return False
    runs = ((run.subdir, run.status, run.epoch, run.part) for run in inventory.runs.values())
    return noted_state(inventory.sweep) == state_of(runs)


def _has_directory(path: Path, run: StoredRun) -> bool:
    Run(path).result()  # which sets it aside, where it is not what was written
    return not is_missing(str(path), run.status, run.epoch)
