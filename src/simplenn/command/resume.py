"""The resume of a run: its own overrides together with what is given now, which may only raise `max_epochs`."""

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from simplenn.command import directory
from simplenn.config.checking import flatten, without_hydra
from simplenn.config.schema import COMMAND_KEYS
from simplenn.errors import ConfigError
from simplenn.planning.overrides import key_of, overrides_given
from simplenn.rank import is_main_process
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.run import Run, find_run

RESUMABLE = ("trainer.max_epochs", *COMMAND_KEYS)


def resume(config: DictConfig, config_name: str) -> None:
    """Turns the configuration into that of the run to go on with, whose lock its main process has from now on.

    Raises `ConfigError`: no such run, another process at work in it, another configuration than the run's, fewer
    epochs than it has done.
    """
    if not directory.is_named(config, "run"):
        raise ConfigError("resume=true must say which run, got no name; try name=first_try")
    run = find_run(directory.wanted(config, "run"))
    if is_main_process(run.config.get("trainer") or {}):
        run.lock()  # before Hydra writes into the directory
    composed = _composed(config, config_name, run)
    difference = _differences(without_hydra(composed), run.config)
    if difference:
        raise ConfigError(f"resume=true goes on with the run's own configuration, but {difference}; "
                          f"leave that out, or start a new run under another name")  # fmt: skip
    done = max((int(row["epoch"]) for row in read_rows(run.metrics_file)), default=0)
    wanted = composed.trainer.max_epochs
    if wanted < done:
        raise ConfigError(
            f"trainer.max_epochs must be at least {done}, the epochs that the run has done, got {wanted}; "
            f"try trainer.max_epochs={done}, or start a new run under another name"
        )
    mode = config.hydra.mode
    with read_write(config), open_dict(config):
        for key in list(composed):
            config[key] = composed[key]
        config.hydra.mode = mode
    directory.assign(config, "run", run.directory)


def _composed(config: DictConfig, config_name: str, run: Run) -> DictConfig:
    """By the run's overrides, and over them those of this command."""
    loader = GlobalHydra.instance().config_loader()
    told = overrides_given(config, "task")
    keys = {*map(key_of, told), *COMMAND_KEYS}
    kept = [word for word in run.overrides if key_of(word) not in keys]
    return loader.load_configuration(config_name, [*kept, *told, *overrides_given(config)], run_mode=RunMode.RUN)


def _differences(now: DictConfig, then: DictConfig) -> str:
    new, old = _flat(now), _flat(then)
    return ", ".join(
        f"{key} is {new.get(key, 'absent')} here and {old.get(key, 'absent')} in the run"
        for key in dict.fromkeys([*old, *new])
        if key not in RESUMABLE and new.get(key) != old.get(key)
    )


def _flat(cfg: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    return flatten(values)
