"""A run of a sweep that trains by itself, in a worker's process.

Its job is run twice in the command's process, where Hydra makes its directory and its log: to send the directory as it
is, and to record what came back.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from simplenn.cluster.unit import Corrupt
from simplenn.cluster.unit import Result as Returned
from simplenn.cluster.working import files_of
from simplenn.command.workers import write_failure
from simplenn.config import check_config, without_length
from simplenn.groups import RunGroup
from simplenn.rundir import Result, Run, write_atomically
from simplenn.rundir.atomic import remove

RESULT = "result.json"
# What a training leaves in a run's directory.
LEFT = re.compile(r"metrics\.csv|result\.json|checkpoints/(best|last|next)\.ckpt|events\.out\.tfevents\.[\w.-]+")


@dataclass
class Single:
    """Run number `run` of a group; `returned` is what came back from a worker, or why nothing did."""

    group: RunGroup
    run: int
    cfg: DictConfig | None = None  # of the job, checked
    files: dict[str, bytes] | None = None  # of its directory, as the worker is to find it
    name: str = ""  # of its directory
    returned: Returned | str | None = None

    @property
    def num(self) -> int:
        return self.group.nums[self.run]

    def take(self, cfg: DictConfig, directory: Path) -> Result | None:
        """What the job does: notes what is to be sent, without a result, or else records what came back.

        Raises `Unwritable`.
        """
        if self.returned is None:
            self.cfg, self.files, self.name = check_config(cfg), files_of(directory), directory.name
            return None
        if isinstance(self.returned, str):
            write_failure(directory, self.group, self.run, self.returned)
        else:
            self._write(directory, self.returned)
        result = Run(directory).result()
        assert result is not None
        return result

    def refuse_other(self, returned: Returned) -> None:
        """Raises `Corrupt` unless it can be what this run has left."""
        for name in returned.files:
            if not name.startswith(".hydra/") and not LEFT.fullmatch(name):
                raise Corrupt(f"what a worker sent back isn't a run's: it has a file {name!r:.80}")
        if RESULT not in returned.files:
            raise Corrupt("what a worker sent back isn't a run's: it has no result")
        from simplenn.rundir.result import parsed

        try:
            result = parsed(returned.files[RESULT].decode())
        except ValueError as error:
            raise Corrupt(f"what a worker sent back has a result that can't be read: {error}") from error
        if without_length(result.identity) != without_length(self.group.identities[self.run]):
            raise Corrupt("what a worker sent back isn't of the run that it was sent")

    def _write(self, directory: Path, returned: Returned) -> None:
        """The result last, as it says that all the others are there."""
        found = {name: content for name, content in returned.files.items() if LEFT.fullmatch(name)}
        for path in [path for path in directory.rglob("*") if path.is_file()]:
            name = path.relative_to(directory).as_posix()
            if LEFT.fullmatch(name) and name not in found:
                remove(path)
        for name in sorted(found, key=lambda name: name == RESULT):
            (directory / name).parent.mkdir(exist_ok=True)
            write_atomically(directory / name, found[name])
        for message in returned.log:
            logging.getLogger(message.logger).log(message.level, "%s", message.text)
