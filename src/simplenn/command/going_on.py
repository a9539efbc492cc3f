"""A sweep in its directory: new, or gone on with, by the runs that are there. Imports no torch."""

import logging
import shutil
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from simplenn.command import directory, sweep_directory
from simplenn.planning import Plan
from simplenn.rundir import package_versions, shown, write_atomically
from simplenn.rundir.lock import Lock
from simplenn.sweep.growth import Growth, grown, lengths_are_swept, without_twins
from simplenn.sweep.inventory import Inventory, differences
from simplenn.sweep.parts import set_aside, tidy

log = logging.getLogger(__name__)

MOST_DIFFERENCES = 6  # that one line names


class GoingOn:
    """`plan` is what the command has to train in its directory, `growth` how that came about.

    Made anew under the directory's lock by `begin`, which a command with nothing to do doesn't call: it touches no file.
    """

    def __init__(self, plan: Plan, sweep: DictConfig) -> None:
        self._sweep = sweep
        self._asked = plan
        self._path = sweep_directory.existing(sweep)
        if self._path is not None:
            directory.assign(sweep, "sweep", self._path)
        self._look()

    def _look(self) -> None:
        with_lengths = lengths_are_swept(self._asked.groups)
        asked = without_twins(self._asked, with_lengths=with_lengths)
        self._num_twins = len(self._asked.jobs) - len(asked.jobs)
        self.inventory = Inventory(self._path, with_lengths=with_lengths) if self._path is not None else None
        if self.inventory is None:
            self.growth = Growth(asked, num_asked=len(asked.jobs))
        else:
            self.growth = grown(asked, self.inventory, self._sweep.rerun)

    @property
    def plan(self) -> Plan:
        return self.growth.plan

    @property
    def has_work(self) -> bool:
        return bool(self.plan.jobs)

    @property
    def num_runs(self) -> int:
        """Of the sweep, once this command has trained its own."""
        return self.growth.num_asked + self.growth.num_others

    def begin(self) -> None:
        """Takes the directory, which no other process works in from now on. Raises `ConfigError` where one does, and
        `Unwritable`."""
        if self._path is None:
            self._path = directory.claim(self._sweep, "sweep")
            self._lock = Lock(self._path)
        else:
            self._lock = Lock(self._path)
            tidy(self._path)
            self._look()  # another process may have been at work until now
            assert self.inventory is not None
            for path, reason in self.inventory.damaged:
                set_aside(path, reason)
            for run in self.growth.again:
                shutil.rmtree(self._path / run.subdir, ignore_errors=True)
        multirun = OmegaConf.to_yaml(self._sweep)
        write_atomically(self._path / sweep_directory.MULTIRUN, multirun.encode())

    def say(self) -> None:
        """How much of what the command asks for is there."""
        growth = self.growth
        if self._num_twins:
            log.info("%d of the jobs are the same run as another and run once", self._num_twins)
        if self.inventory is None or not (self.inventory.runs or self.inventory.damaged):
            return
        done = len(growth.kept)
        if not self.has_work:
            log.info("nothing to do: all %s runs are there already", f"{done:,}")
        else:
            going_on = f", of which {growth.num_going_on:,} go on from where they are" if growth.num_going_on else ""
            log.info(
                "%s of %s done, %s to train%s",
                f"{done:,}",
                f"{growth.num_asked:,}",
                f"{len(self.plan.jobs):,}",
                going_on,
            )
        if growth.num_others:
            log.info("%s runs of the sweep are none of this command's; they stay", f"{growth.num_others:,}")
        if failed := growth.kept_by_status["failed"]:
            log.info("%s kept runs have failed; rerun=failed trains them again", f"{failed:,}")
        self._say_differences()

    def _say_differences(self) -> None:
        """What the kept runs were trained with, where that is something else than now."""
        assert self.inventory is not None
        versions = package_versions()
        known: dict[
            tuple[int | str, str], list[str]
        ] = {}  # by the origin of the runs, and the group that asks for them
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

    def end(self) -> None:
        """Lets go of the directory."""
        if self.has_work:
            self._lock.release()

    @property
    def shown(self) -> str:
        return shown(self._path) if self._path is not None else ""
