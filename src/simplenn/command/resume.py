"""The resume of a run: its own configuration, with what this command gives in place of what that may change.

Of a run's directory, which may be a stranger's, values count and nothing else: not the overrides that it was once
composed from, and nothing of Hydra's node. So neither can it set anything of this process, nor do files of `conf/` that
have changed since make it another run.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from simplenn.command import directory
from simplenn.command.saved_configuration import put_in
from simplenn.command.worked_in import directories
from simplenn.config import (
    COMMAND_WIDE,
    GroupFiles,
    Kind,
    check_config,
    flat,
    kind_of,
    refuse_fewer_epochs,
    root_keys,
    without_hydra,
)
from simplenn.errors import ConfigError
from simplenn.planning import is_for_hydra, key_of, overrides_given
from simplenn.rank import is_main_process
from simplenn.rundir import Result, Run, code_of, find_run, going_on_with_other_code, other_code
from simplenn.rundir.metrics import num_sound_rows
from simplenn.rundir.summary import log_nothing_to_do

# Any machinery can go on with a run, as a checkpoint holds whole tensors, whatever device or process they were on.
MAY_CHANGE = (Kind.LENGTH, Kind.EXECUTION, Kind.COMMAND)
ABSENT = object()

Values = dict[str, Any]  # by full key


@dataclass(frozen=True)
class Resumed:
    """What a resumed run's directory and log are to say of it."""

    note: str  # on the execution keys that are not what they were; empty where there are none
    warning: str  # of other code than its epochs so far were trained with; empty where it is the same
    overrides: list[str]  # of all sessions of the run
    choices: dict[str, str]  # of a file for each group, of all sessions
    files: Mapping[str, DictConfig]  # of the groups, which say what keys beyond the schema there are


def resume(config: DictConfig, config_name: str) -> Resumed:
    """Turns the configuration into that of the run to go on with, whose lock its main process has from now on.

    Ends the process where there is nothing to do. Raises `ConfigError`: no such run, another process at work in it,
    another setting or seed than the run's, fewer epochs than it has done.
    """
    if not directory.is_named(config, "run"):
        raise ConfigError("resume=true must say which run, got no name; try name=first_try")
    run = find_run(directory.requested_directory(config, "run"))
    job = _continued(config, config_name, run)
    if is_main_process(job.trainer):
        run.lock()  # before anything is written into the directory
        run.tidy()
        job = _continued(config, config_name, run)  # as it is now that no other process writes
    changed = _differences(job, run.config)
    _refuse_other_settings(changed)
    files = {group: job[group] for group in ("model", "data", "optimizer")} | {"trainer": GroupFiles(config)["trainer"]}
    checked = check_config(job, files)
    num_epochs = checked.trainer.max_epochs
    # Rows behind a damaged one may be trained again.
    refuse_fewer_epochs(num_epochs, num_sound_rows(run.metrics_file), "the run has", "run")
    before = run.result()
    if before is not None and before.reaches(num_epochs):
        log_nothing_to_do(before, quiet=config.quiet)
        directories["run"] = run.directory
        sys.exit()
    resumed = Resumed(_note(changed), _warning(before, checked), *_history(config, run), files)
    put_in(config, job)
    directory.assign(config, "run", run.directory)
    return resumed


def _refuse_other_settings(changed: Mapping[str, tuple[Any, Any]]) -> None:
    refused = {key: pair for key, pair in changed.items() if kind_of(key) not in MAY_CHANGE}
    if refused:
        values = ", ".join(f"{key} is {new} here and {old} in the run" for key, (new, old) in refused.items())
        raise ConfigError(
            f"resume=true goes on with the run's own configuration, but {values}; "
            "leave that out, or start a new run under another name"
        )


def _note(changed: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(
        f"{key} is {new} here and was {old}"
        for key, (new, old) in changed.items()
        if kind_of(key) is Kind.EXECUTION and key not in COMMAND_WIDE
    )


def _warning(before: Result | None, now: DictConfig) -> str:
    found = other_code(before.code, code_of(now)) if before is not None and before.metrics else []
    return f"the run's epochs so far {going_on_with_other_code(found)}" if found else ""


def _history(config: DictConfig, run: Run) -> tuple[list[str], dict[str, str]]:
    """The overrides and the choices of all sessions, this one's included."""
    given = overrides_given(config, "task")
    own = set(map(key_of, given))
    kept = [override for override in run.overrides if not _is_replaced(override, own)]
    chosen = {group: choice for group, choice in _choices(config).items() if group in own}
    return [*kept, *given], run.choices | chosen


def _is_replaced(override: str, own: set[str]) -> bool:
    """Whether what the run was given for a key counts no more: it is Hydra's or a command's own, or is given anew."""
    key = key_of(override)
    chosen_anew = kind_of(key) is Kind.EXECUTION and key.partition(".")[0] in own
    return is_for_hydra(override) or key in COMMAND_WIDE or key in own or chosen_anew


def _continued(config: DictConfig, config_name: str, run: Run) -> DictConfig:
    """The run's own configuration, but for the keys that this command sets."""
    saved = run.config
    values: Any = OmegaConf.to_container(saved, resolve=False)
    here, there = flat(without_hydra(config)), flat(saved)
    own = _own_keys(config, config_name, run.choices, here, there) | {key for key in root_keys() if key not in values}
    for key in sorted(own):
        if key not in here:
            _delete(values, key)
        elif here[key] != there.get(key, ABSENT):
            _set(values, key, here[key])
    job: Any = OmegaConf.create(values)
    return job


def _own_keys(config: DictConfig, config_name: str, before: Mapping[str, str], here: Values, there: Values) -> set[str]:
    """The full keys that this command sets, be it to the value that they have: by an override of theirs, or by another
    choice for a group than the run's, which `before` has. A group that is chosen anew (`trainer=gpu`), be it the same
    choice, decides its machinery (`trainer.accelerator`) too.
    """
    keys: set[str] = set(COMMAND_WIDE)
    every = {*here, *there}
    choices = _choices(config)
    for key in {key_of(override).partition("@")[0] for override in overrides_given(config, "task")}:
        below = {other for other in every if other == key or other.startswith(f"{key}.")}
        if key not in choices:
            keys |= below
            continue
        keys |= {other for other in below if kind_of(other) is Kind.EXECUTION}
        if choices[key] != before.get(key):
            default = _default(config_name)
            keys |= {other for other in {*here, *default} if here.get(other, ABSENT) != default.get(other, ABSENT)}
            keys |= {f"{key}._target_"} & every
    return keys


def _choices(config: DictConfig) -> dict[str, str]:
    """The file that the configuration has chosen of each group, Hydra's own groups left out."""
    choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    return {group: str(choice) for group, choice in choices.items() if not is_for_hydra(group)}


def _default(config_name: str) -> Values:
    """The values of a command without overrides; none where it must have some."""
    loader = GlobalHydra.instance().config_loader()
    try:
        return flat(without_hydra(loader.load_configuration(config_name, [], run_mode=RunMode.RUN)))
    except HydraException:
        return {}


def _set(values: Values, key: str, value: Any) -> None:
    *path, leaf = key.split(".")
    for name in path:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[leaf] = value


def _delete(values: Values, key: str) -> None:
    *path, leaf = key.split(".")
    for name in path:
        values = values.get(name, {})
    values.pop(leaf, None)


def _differences(now: DictConfig, then: DictConfig) -> dict[str, tuple[Any, Any]]:
    """The keys that are not the same, each with its value now and then."""
    new, old = flat(now), flat(then)
    return {
        key: (new.get(key, "absent"), old.get(key, "absent"))
        for key in dict.fromkeys([*old, *new])
        if new.get(key) != old.get(key)
    }
