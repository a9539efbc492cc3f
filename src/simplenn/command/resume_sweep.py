"""The resume of a sweep: what its last command asked for, together with what this one gives."""

import re
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from simplenn.command import directory, sweep_directory
from simplenn.config import refuse_lookups
from simplenn.errors import ConfigError
from simplenn.planning import key_of, overrides_given
from simplenn.sweep.multirun import MULTIRUN, read_multirun

# Whoever wrote the sweep's file says which runs there are and how they train, not what a command does beside that, nor
# what it may trust.
OF_THE_COMMAND = ("name", "resume", "rerun", "allow", "progress", "quiet")
# Of Hydra's own keys only those that say which runs there are and where they lie: others name code or files.
HYDRAS = ("hydra.sweeper.points", "hydra.sweeper.params", "hydra.sweeper.max_batch_size", "hydra.sweep.subdir")
OF_THE_JOB = re.compile(r"\$\{hydra:(?=job\.)")  # what a place of the user's own may be made of


def resume_sweep(config: DictConfig, config_name: str) -> None:
    """Turns the configuration into that of the sweep to go on with. Raises `ConfigError` where there is none."""
    if not directory.is_named(config, "sweep"):
        raise ConfigError("resume=true must say which sweep, got no name; try name=lr_study")
    path = directory.requested_directory(config, "sweep")
    if not path.is_dir() or not sweep_directory.is_sweep(path):
        raise ConfigError(
            f"{path} must be a sweep to go on with, and has no {MULTIRUN} of one; leave resume=true out to begin it"
        )
    task, hydras = _overrides_of(read_multirun(path), str(path / MULTIRUN))
    # Without resume=true itself and in the order of then, so that runs have the configurations of the whole command.
    now = [o for o in overrides_given(config, "task") if key_of(o) != "resume"]
    told = _merged([o for o in task if key_of(o) not in OF_THE_COMMAND or key_of(o) in map(key_of, now)], now)
    own = overrides_given(config)
    loader = GlobalHydra.instance().config_loader()
    composed = loader.load_configuration(config_name, [*told, *hydras, *own], run_mode=RunMode.MULTIRUN)
    raw: Any = OmegaConf.to_container(composed, resolve=False)  # what Hydra resolves for each job stays unresolved
    with read_write(config), open_dict(config):
        for key in [key for key in raw if key != "hydra"]:
            config[key] = raw[key]
        for key, value in raw["hydra"]["sweeper"].items():
            config.hydra.sweeper[key] = value
        config.hydra.sweep.subdir = raw["hydra"]["sweep"]["subdir"]
        config.hydra.overrides.task = raw["hydra"]["overrides"]["task"]
        config.hydra.overrides.hydra = raw["hydra"]["overrides"]["hydra"]
        config.hydra.job.override_dirname = raw["hydra"]["job"]["override_dirname"]


def _merged(then: list[str], now: list[str]) -> list[str]:
    """Those of now, each in the place of the one of its key, if there was one; the rest behind."""
    given: dict[str, list[str]] = {}
    for override in now:
        given.setdefault(key_of(override), []).append(override)
    merged = [new for old in then for new in given.pop(key_of(old), [] if key_of(old) in map(key_of, now) else [old])]
    return merged + [override for overrides in given.values() for override in overrides]


def _overrides_of(multirun: dict[str, Any], file: str) -> tuple[list[str], list[str]]:
    """Those of the task and of Hydra's own that count, as they were typed; none looks up anything of this machine."""
    try:
        overrides = multirun["hydra"]["overrides"]
        task, hydras = overrides["task"], overrides["hydra"]
    except (KeyError, TypeError):
        task = hydras = None
    if not all(isinstance(part, list) and all(isinstance(word, str) for word in part) for part in (task, hydras)):
        raise ConfigError(f"{file} must hold the command's overrides, and doesn't; give the whole command again")
    assert task is not None and hydras is not None
    for override in task:  # among them, Hydra would obey those too
        if "hydra" in re.split(r"\W+", key_of(override)):
            raise ConfigError(f"{file} must have what is Hydra's apart from the sweep's own, got {override!r:.80}; "
                              "give the whole command again")  # fmt: skip
    hydras = [override for override in hydras if key_of(override).startswith(HYDRAS)]
    refuse_lookups([*task, *(OF_THE_JOB.sub("${", override) for override in hydras)], file)
    return task, hydras
