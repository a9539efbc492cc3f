"""What a command passes before any work is done: checks, the resume of a run, a directory of its own.

A Hydra callback: Hydra calls it once per command, when the configuration is composed and nothing is written.
What the checks need is imported by them: `--help` passes no gate. torch comes last, once all else is in order.
"""

import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from simplenn.command.refusals import in_one_line, is_the_systems, is_the_users
from simplenn.errors import ConfigError, Refused
from simplenn.planning import key_of, overrides_given
from simplenn.rank import is_main_process, started_by_user

if TYPE_CHECKING:
    from simplenn.groups import RunGroup


log = logging.getLogger(__name__)


class Gate(Callback):
    def __init__(self) -> None:
        self._note = ""  # for the run's log

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _closed_on_errors():
            self._note = _pass_run(config, kwargs["config_name"])

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Notes it here, as Hydra has opened the run's log by now."""
        if self._note and is_main_process(config.trainer) and not config.quiet:
            log.info("%s", self._note)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _closed_on_errors():
            _refuse_missing_keys(config)
        if config.resume:
            raise Refused("resume=true is for one run, got a multirun; name the run that is to go on")
        if not claims_directory(config):
            from simplenn.command import directory

            with _closed_on_errors():
                _refuse_several_commands(config)
                directory.refuse_taken(config, "sweep")
                directory.claim(config, "sweep")
        if config.quiet:
            with read_write(config):
                config.hydra.hydra_logging.root.level = "WARNING"


def _pass_run(config: DictConfig, config_name: str) -> str:
    """A resumed run's directory is locked before it is read, a new one's as soon as it is there.

    A run has one main process, which has the directory and writes; the others find it there. Returns a line on how
    this session trains on other machinery than those before, if it does.
    """
    from simplenn.command import directory
    from simplenn.rundir import Run

    checked = check_job(config)
    if started_by_user(checked.trainer) and not directory.is_named(config, "run"):
        raise ConfigError("a run whose processes are started one by one must say where they meet, got no name; "
                          "try name=first_try")  # fmt: skip
    note = ""
    if config.resume:
        from simplenn.command.resume import resume

        note = resume(config, config_name)
        _rehearse(check_job(config))
    elif is_main_process(checked.trainer):
        directory.refuse_taken(config, "run")
        _rehearse(checked)
        Run(directory.claim(config, "run")).lock()
    else:
        _rehearse(checked)
        directory.join(config)
    if not is_main_process(config.trainer):
        from simplenn.training.processes import let_hydra_write_nothing

        let_hydra_write_nothing(config, config_name)
    return note


def check_job(config: DictConfig) -> DictConfig:
    """The checked configuration of one job, its `hydra` node left out. Raises `ConfigError`; imports no torch."""
    from simplenn.config import GroupFiles, as_override, check_config, check_targets, without_hydra

    _refuse_missing_keys(config)
    checked = check_config(without_hydra(config), GroupFiles(config))
    if checked.allow and "allow" not in map(key_of, overrides_given(config, "task")):
        packages = list(checked.allow)
        raise ConfigError(
            f"allow must be given on the command line, got {packages} from a file; try allow={as_override(packages)}"
        )
    check_targets(checked, checked.allow)
    return checked


def _refuse_missing_keys(config: DictConfig) -> None:
    from simplenn.config import root_keys

    for key in root_keys():
        if key not in config:
            raise ConfigError(f"{key} must have a value, got no such key; leave ~{key} out, or see conf/train.yaml")


def claims_directory(sweep: DictConfig) -> bool:
    """Whether the command's sweeper lets its jobs be checked before a directory is made for them."""
    from hydra.utils import get_class

    return getattr(get_class(sweep.hydra.sweeper._target_), "claims_directory", False)


def check_sweep(groups: "Sequence[RunGroup]", sweep: DictConfig, *, claim: bool) -> None:
    """Checks every job of a sweep, then, where `claim`, makes its directory. Raises `Refused` before that.

    From then on the groups have a checked configuration, and their columns are of their keys' types.
    """
    from simplenn.command import directory

    with _closed_on_errors():
        for group in groups:
            _check_group(group, sweep)
        _check_compiler([group.cfg for group in groups])
        if claim:
            directory.refuse_taken(sweep, "sweep")
        for group in groups:
            _rehearse(group.cfg, group.columns)
        if claim:
            directory.claim(sweep, "sweep")


def _check_group(group: "RunGroup", sweep: DictConfig) -> None:
    from simplenn.config import COMMAND_WIDE, check_values

    for key in COMMAND_WIDE:
        if group.composed[key] != sweep[key]:
            raise ConfigError(f"{key} is the whole sweep's and can't differ between its jobs; give it one value")
    group.checked = check_job(group.composed)
    _refuse_several_commands(group.cfg)
    for key, values in group.columns.items():
        group.columns[key] = check_values(group.cfg, key, values)
    if not group.columns:  # as where each run is a group: then the seed is the column that it needs to be trained
        group.columns["seed"] = group.seeds


def _check_compiler(jobs: Sequence[DictConfig]) -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # what torch's inductor calls
    if any(job.trainer.get("compile") for job in jobs) and shutil.which(compiler) is None:
        raise ConfigError(
            f"trainer.compile=true needs a C++ compiler, got no {compiler} on the PATH; install one, or set CXX"
        )


def _refuse_several_commands(job: DictConfig) -> None:
    if started_by_user(job.trainer):
        raise ConfigError("a sweep must be one command that starts its runs' processes itself, got one of several; "
                          "try trainer.num_nodes=1, without torchrun or srun")  # fmt: skip


@contextmanager
def _closed_on_errors() -> Iterator[None]:
    """Lets no error open the gate: Hydra would only warn of it, and train all the same."""
    try:
        yield
    except Exception as error:
        if is_the_users(error) or is_the_systems(error):
            raise Refused(in_one_line(error)) from error
        traceback.print_exc()
        raise SystemExit(1) from error


def _rehearse(checked: DictConfig, columns: dict[str, list[Any]] | None = None) -> None:
    from simplenn.training import rehearse

    rehearse(checked, columns)
