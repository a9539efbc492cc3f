"""The resume of a run: its own configuration, together with what this command gives and what that may change."""

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from simplenn.command import directory
from simplenn.config import COMMAND_WIDE, Kind, flat, kind_of, without_hydra
from simplenn.errors import ConfigError
from simplenn.planning import key_of, overrides_given
from simplenn.rank import is_main_process
from simplenn.rundir import Run, find_run, read_rows

# Any machinery can go on with a run, as a checkpoint holds whole tensors, whatever device or process they were on.
MAY_CHANGE = (Kind.LENGTH, Kind.EXECUTION, Kind.COMMAND)


def resume(config: DictConfig, config_name: str) -> str:
    """Turns the configuration into that of the run to go on with, whose lock its main process has from now on.

    Returns a line on the execution keys that are not what they were, if any. Raises `ConfigError`: no such run,
    another process at work in it, another setting or seed than the run's, fewer epochs than it has done.
    """
    if not directory.is_named(config, "run"):
        raise ConfigError("resume=true must say which run, got no name; try name=first_try")
    run = find_run(directory.requested_directory(config, "run"))
    composed = _composed(config, config_name, run)
    if is_main_process(composed.trainer):
        run.lock()  # before Hydra writes into the directory
    changed = _differences(without_hydra(composed), run.config)
    refused = {key: pair for key, pair in changed.items() if kind_of(key) not in MAY_CHANGE}
    if refused:
        values = ", ".join(f"{key} is {new} here and {old} in the run" for key, (new, old) in refused.items())
        raise ConfigError(
            f"resume=true goes on with the run's own configuration, but {values}; "
            "leave that out, or start a new run under another name"
        )
    num_done = max((int(row["epoch"]) for row in read_rows(run.metrics_file)), default=0)
    num_epochs = composed.trainer.max_epochs
    if num_epochs < num_done:
        raise ConfigError(
            f"trainer.max_epochs must be at least {num_done}, the epochs that the run has done, got {num_epochs}; "
            f"try trainer.max_epochs={num_done}, or start a new run under another name"
        )
    mode = config.hydra.mode
    with read_write(config), open_dict(config):
        for key in list(composed):
            config[key] = composed[key]
        config.hydra.mode = mode
    directory.assign(config, "run", run.directory)
    return ", ".join(
        f"{key} is {new} here and was {old}"
        for key, (new, old) in changed.items()
        if kind_of(key) is Kind.EXECUTION and key not in COMMAND_WIDE
    )


def _composed(config: DictConfig, config_name: str, run: Run) -> DictConfig:
    """The configuration by the run's overrides, and after them those of this command."""
    loader = GlobalHydra.instance().config_loader()
    now = overrides_given(config, "task")
    kept = [override for override in run.overrides if not _is_replaced(key_of(override), set(map(key_of, now)))]
    return loader.load_configuration(config_name, [*kept, *now, *overrides_given(config)], run_mode=RunMode.RUN)


def _is_replaced(key: str, now: set[str]) -> bool:
    """Whether what the run was given for a key counts no more: it is a command's own, or is given anew.

    A group that is chosen anew (`trainer=gpu`) decides its machinery (`trainer.accelerator`) too.
    """
    chosen_anew = kind_of(key) is Kind.EXECUTION and key.partition(".")[0] in now
    return key in COMMAND_WIDE or key in now or chosen_anew


def _differences(now: DictConfig, then: DictConfig) -> dict[str, tuple[Any, Any]]:
    """The keys that are not the same, each with its value now and then."""
    new, old = flat(now), flat(then)
    return {
        key: (new.get(key, "absent"), old.get(key, "absent"))
        for key in dict.fromkeys([*old, *new])
        if new.get(key) != old.get(key)
    }
