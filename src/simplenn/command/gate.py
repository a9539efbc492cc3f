"""What a command passes before any work is done: checks, the resume of a run, a directory of its own.

A Hydra callback: Hydra calls it once per command, when the configuration is composed and nothing is written.
What the checks need is imported by them: `--help` passes no gate. torch comes last, once all else is in order.
"""

import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write
from omegaconf.errors import OmegaConfBaseException

from simplenn.errors import ConfigError, Refused
from simplenn.planning.words import given, key_of
from simplenn.rank import PARENT, end_with_parent, is_main_process, started_by_user


class JobGroup(Protocol):
    """Jobs of a sweep whose configurations differ in `columns` alone: the values by full key."""

    config: DictConfig
    columns: dict[str, list[Any]]


class Gate(Callback):
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if PARENT in os.environ:
            end_with_parent()  # which has passed the gate for both
        else:
            with _closed_on_errors():
                _pass_run(config, kwargs["config_name"])

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.get("resume"):
            raise Refused("resume=true is for one run, got a multirun; name the run that is to go on")
        if not checks_first(config):
            with _closed_on_errors():
                _refuse_several_commands(config)
                take_directory(config)
        if config.get("quiet"):
            with read_write(config):
                config.hydra.hydra_logging.root.level = "WARNING"


def _pass_run(config: DictConfig, config_name: str) -> None:
    """A resumed run's directory is locked before it is read, a new one's as soon as it is there.

    A run has one main process, which has the directory and writes; the others find it there.
    """
    from simplenn.command import directory
    from simplenn.rundir.run import Run

    checked = check_job(config)
    if started_by_user(checked.trainer) and not directory.is_named(config, "run"):
        raise ConfigError("a run whose processes are started one by one must say where they meet, got no name; "
                          "try name=first_try")  # fmt: skip
    if config.resume:
        from simplenn.command.resume import resume

        resume(config, config_name)
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


def check_job(config: DictConfig) -> DictConfig:
    """The checked configuration of one job, its `hydra` node left out. Raises `ConfigError`; imports no torch."""
    from simplenn.config.checking import as_override, check_config, without_hydra
    from simplenn.config.group_files import GroupFiles
    from simplenn.config.targets import check_targets

    checked = check_config(without_hydra(config), GroupFiles(config))
    if checked.allow and "allow" not in map(key_of, given(config, "task")):
        packages = list(checked.allow)
        raise ConfigError(
            f"allow must be given on the command line, got {packages} from a file; try allow={as_override(packages)}"
        )
    check_targets(checked, checked.allow)
    return checked


def checks_first(sweep: DictConfig) -> bool:
    """Whether the sweeper has its jobs checked before it makes the sweep's directory; others make it at once."""
    return sweep.hydra.sweeper.get("_target_") == "hydra_plugins.vectorized.sweeper.VectorizedSweeper"


def take_directory(sweep: DictConfig) -> None:
    from simplenn.command import directory

    directory.refuse_taken(sweep, "sweep")
    directory.claim(sweep, "sweep")


def check_sweep(groups: Sequence[JobGroup], sweep: DictConfig, *, take: bool) -> list[DictConfig]:
    """Checks every job of a sweep, then, where `take`, takes its directory. Returns each group's configuration,
    checked; the groups' columns become of their keys' types. Raises `Refused`; nothing is written before.
    """
    from simplenn.command import directory

    with _closed_on_errors():
        jobs = [_check_group(group, sweep) for group in groups]
        _check_compiler(jobs)
        if take:
            directory.refuse_taken(sweep, "sweep")
        for group, job in zip(groups, jobs, strict=True):
            _rehearse(job, group.columns)
        if take:
            directory.claim(sweep, "sweep")
    return jobs


def _check_group(group: JobGroup, sweep: DictConfig) -> DictConfig:
    from simplenn.config.checking import check_values
    from simplenn.config.schema import COMMAND_KEYS

    for key in COMMAND_KEYS:
        if group.config[key] != sweep[key]:
            raise ConfigError(f"{key} is the whole sweep's and can't differ between its jobs; give it one value")
    checked = check_job(group.config)
    _refuse_several_commands(checked)
    for key, values in group.columns.items():
        group.columns[key] = check_values(checked, key, values)
    return checked


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
    except (ConfigError, OSError, HydraException, OmegaConfBaseException) as error:
        raise Refused(" ".join(str(error).split())) from error
    except Exception as error:
        traceback.print_exc()
        raise SystemExit(1) from error


def _rehearse(checked: DictConfig, columns: dict[str, list[Any]] | None = None) -> None:
    from simplenn.training.rehearsal import rehearse

    rehearse(checked, columns)
