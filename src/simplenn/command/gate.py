"""What a command passes before any work is done: checks, the resume of a run, a directory of its own.

A Hydra callback: Hydra calls it once per command, when the configuration is composed and nothing is written.
What the checks need is imported by them: `--help` passes no gate. torch comes last, once all else is in order.
"""

import logging
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from simplenn.command.refusals import in_one_line, is_the_systems, is_the_users
from simplenn.command.worked_in import directories
from simplenn.compiler import compiler
from simplenn.errors import ConfigError, Refused
from simplenn.planning import key_of, overrides_given
from simplenn.rank import is_main_process, started_by_user

if TYPE_CHECKING:
    from simplenn.command.resume import Resumed
    from simplenn.groups import RunGroup


log = logging.getLogger(__name__)


class Gate(Callback):
    def __init__(self) -> None:
        self._resumed: Resumed | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with closed_on_errors():
            self._resumed = _pass_run(config, kwargs["config_name"])
            directories["run"] = Path(config.hydra.run.dir)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra has made the run's directory and opened its log by now; what it would write of the configuration is
        written here, whole or not at all."""
        if not is_main_process(config.trainer):
            return
        with closed_on_errors():
            from simplenn.command.saved_configuration import save

            save(config, self._resumed)
        if self._resumed is not None and self._resumed.warning:
            log.warning("%s", self._resumed.warning)
        if self._resumed is not None and self._resumed.note and not config.quiet:
            log.info("%s", self._resumed.note)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with closed_on_errors():
            _refuse_missing_keys(config)
            if config.resume:
                from simplenn.command.resume_sweep import resume_sweep

                resume_sweep(config, kwargs["config_name"])
        if not claims_directory(config):
            from simplenn.command import directory

            with closed_on_errors():
                _refuse_several_commands(config)
                directory.refuse_taken(config, "sweep")
                directory.claim(config, "sweep")
        if config.quiet:
            with read_write(config):
                config.hydra.hydra_logging.root.level = "WARNING"


def _pass_run(config: DictConfig, config_name: str) -> "Resumed | None":
    """A resumed run's directory is locked before it is read, a new one's as soon as it is there.

    A run has one main process, which has the directory and writes; the others find it there. Returns what is to be
    noted of a resume.
    """
    from simplenn.command import directory
    from simplenn.rundir import Run

    checked = check_job(config)
    params = OmegaConf.select(config, "hydra.sweeper.params")
    if params and "hydra.mode" not in map(key_of, sys.argv[1:]):  # with which a run of a sweep's file trains alone
        raise ConfigError(
            f"a sweep's file must say that it is one, and what goes over {', '.join(map(str, params))} doesn't; "
            "set hydra.mode: MULTIRUN in it, or give -m"
        )
    if started_by_user(checked.trainer) and not directory.is_named(config, "run"):
        raise ConfigError("a run whose processes are started one by one must say where they meet, got no name; "
                          "try name=first_try")  # fmt: skip
    resumed = None
    if config.resume:
        from simplenn.command.resume import resume

        resumed = resume(config, config_name)
        _rehearse(check_job(config, resumed.files))
    elif is_main_process(checked.trainer):
        directory.refuse_taken(config, "run")
        _rehearse(checked)
        directory.own(config, Run(directory.claim(config, "run")))
    else:
        _rehearse(checked)
        directory.join(config)
    if not is_main_process(config.trainer):
        from simplenn.training.processes import let_hydra_write_nothing

        let_hydra_write_nothing(config, config_name)
    return resumed


def check_job(config: DictConfig, files: Mapping[str, DictConfig] | None = None) -> DictConfig:
    """The checked configuration of one job, its `hydra` node left out. `files` are those of the groups, by default the
    ones that the configuration has chosen. Raises `ConfigError`; imports no torch.
    """
    from simplenn.config import GroupFiles, as_override, check_config, check_targets, without_hydra

    _refuse_missing_keys(config)
    checked = check_config(without_hydra(config), files or GroupFiles(config))
    if checked.allow and "allow" not in map(key_of, overrides_given(config, "task")):
        packages = list(checked.allow)
        raise ConfigError(
            f"allow must be given on the command line, got {packages} from a file; try allow={as_override(packages)}"
        )
    check_targets(checked, checked.allow)
    return checked


def _refuse_missing_keys(config: DictConfig) -> None:
    from simplenn.config import known_names, root_keys

    for key in root_keys():
        if key not in config:
            raise ConfigError(f"{key} must have a value, got no such key; leave ~{key} out, or see conf/train.yaml")
    for group, choice in config.hydra.runtime.choices.items():
        if group in config and group not in known_names():  # its keys stand below the group's name
            raise ConfigError(
                f"{group}/{choice}.yaml must set keys of the whole configuration, got them below {group}; "
                "begin the file with the line: # @package _global_"
            )


def claims_directory(sweep: DictConfig) -> bool:
    """Whether the command's sweeper lets its jobs be checked before a directory is made for them."""
    from hydra.utils import get_class

    return getattr(get_class(sweep.hydra.sweeper._target_), "claims_directory", False)


def check_groups(groups: "Sequence[RunGroup]", sweep: DictConfig) -> None:
    """Holds every job of a sweep against the schema. Raises `ConfigError`; imports no torch.

    From then on the groups have a checked configuration, and their columns are of their keys' types.
    """
    for group in groups:
        _check_group(group, sweep)
    _check_compiler([group.cfg for group in groups])


def rehearse_groups(groups: "Sequence[RunGroup]") -> None:
    """What only torch can tell of a sweep's jobs. Raises `ConfigError`."""
    for group in groups:
        try:
            _rehearse(group.cfg, group.columns)
        except ConfigError as error:
            where = f"{group.names[0]}: " if len(groups) > 1 else ""
            raise ConfigError(f"{where}{error}") from error


def _check_group(group: "RunGroup", sweep: DictConfig) -> None:
    from simplenn.config import COMMAND_WIDE, GroupFiles, check_values

    for key in COMMAND_WIDE:
        if group.composed[key] != sweep[key]:
            raise ConfigError(f"{key} is the whole sweep's and can't differ between its jobs; give it one value")
    group.checked = check_job(group.composed)
    _refuse_several_commands(group.cfg)
    files = GroupFiles(group.composed)
    for key, values in group.columns.items():
        group.columns[key] = check_values(group.cfg, key, values, files)
    if not group.columns:  # as where each run is a group: then the seed is the column that it needs to be trained
        group.columns["seed"] = group.seeds


def _check_compiler(jobs: Sequence[DictConfig]) -> None:
    if any(job.trainer.get("compile") is True for job in jobs) and shutil.which(compiler()) is None:
        raise ConfigError(
            f"trainer.compile=true needs a C++ compiler, got no {compiler()} on the PATH; install one, or set CXX"
        )


def _refuse_several_commands(job: DictConfig) -> None:
    if started_by_user(job.trainer):
        raise ConfigError("a sweep must be one command that starts its runs' processes itself, got one of several; "
                          "try trainer.num_nodes=1, without torchrun or srun")  # fmt: skip


@contextmanager
def closed_on_errors() -> Iterator[None]:
    """Lets no error open the gate: Hydra would only warn of it, and train all the same."""
    try:
        yield
    except Exception as error:
        if is_the_users(error):
            raise Refused(in_one_line(error)) from error
        if is_the_systems(error):
            raise Refused(in_one_line(error), status=1) from error
        traceback.print_exc()
        raise SystemExit(1) from error


def _rehearse(checked: DictConfig, columns: dict[str, list[Any]] | None = None) -> None:
    from simplenn.training import rehearse

    rehearse(checked, columns)
