"""What a command passes before any work is done: checks, the resume of a run, a directory of its own.

A Hydra callback: Hydra calls it once per command, when the configuration is composed and nothing is written.
Imports torch only once the configuration itself is in order.
"""

import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from simplenn.config import GROUPS, ConfigError, as_override, check, check_values, flatten
from simplenn.run import find_run, refuse_taken, reserve
from simplenn.target import check_targets

SHOWN = ("resume", "quiet", "progress", "allow")  # how this command runs, not what the run is
OF_THE_SWEEP = ("name", "run_dirs", "max_stack", "verify", *SHOWN)  # one value for all jobs
RESUMABLE = ("trainer.max_epochs", "name", *SHOWN)


class JobGroup(Protocol):
    """Jobs of a sweep whose configurations differ in `columns` alone: the values by full key."""

    config: DictConfig
    columns: dict[str, list[Any]]


class Refused(SystemExit):
    """A command refused before any work. A `SystemExit`, as Hydra only warns of other exceptions in a callback."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class Gate(Callback):
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # else a process that another has started, for its own run
            with _closed_on_errors():
                checked = check_job(config)
                if config.resume:
                    _resume(config, kwargs["config_name"])
                    checked = check_job(config)
                else:
                    refuse_taken(_wanted(config, "run"))
                _rehearse(checked)
                if not config.resume:
                    _reserve(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.get("resume"):
            raise Refused("resume=true is for one run, got a multirun; name the run that is to go on")
        if config.get("quiet"):
            with read_write(config):
                config.hydra.hydra_logging.root.level = "WARNING"


def check_job(config: DictConfig) -> DictConfig:
    """The checked configuration of one job, its `hydra` node left out. Raises `ConfigError`; imports no torch."""
    checked = check(_without_hydra(config), _GroupFiles(config))
    if checked.allow and not any(word.lstrip("+").startswith("allow=") for word in config.hydra.overrides.task):
        given = list(checked.allow)
        raise ConfigError(
            f"allow must be given on the command line, got {given} from a file; try allow={as_override(given)}"
        )
    check_targets(checked, checked.allow)
    return checked


def check_sweep(groups: Sequence[JobGroup], sweep: DictConfig, *, take: bool) -> list[DictConfig]:
    """Checks every job of a sweep, then, where `take`, takes its directory. Returns each group's configuration,
    checked; the groups' columns become of their keys' types. Raises `Refused`; nothing is written before.
    """
    with _closed_on_errors():
        jobs = [_check_group(group, sweep) for group in groups]
        if take:
            refuse_taken(_wanted(sweep, "sweep"))
        for job in jobs:
            _rehearse(job)
        if take:
            _reserve(sweep, "sweep")
    return jobs


def _check_group(group: JobGroup, sweep: DictConfig) -> DictConfig:
    for key in OF_THE_SWEEP:
        if group.config[key] != sweep[key]:
            raise ConfigError(f"{key} is the whole sweep's and can't differ between its jobs; give it one value")
    checked = check_job(group.config)
    for key, values in group.columns.items():
        group.columns[key] = check_values(checked, key, values)
    return checked


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


def _rehearse(checked: DictConfig) -> None:
    from simplenn.training import rehearse

    rehearse(checked)


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


class _GroupFiles(Mapping[str, DictConfig]):
    """Each group's own file as it is before any override; read only where a key is in no schema."""

    def __init__(self, config: DictConfig) -> None:
        self._choices = {group: config.hydra.runtime.choices.get(group) for group in GROUPS}

    def __getitem__(self, group: str) -> DictConfig:
        choice = self._choices[group]
        return _group_file(group, choice) if choice else OmegaConf.create({})

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)


def _group_file(group: str, choice: str) -> DictConfig:
    loader: Any = GlobalHydra.instance().config_loader()
    result = loader.repository.load_config(f"{group}/{choice}")
    if result is None:
        return OmegaConf.create({})
    bases = [entry.path for entry in result.defaults_list or [] if getattr(entry, "path", "_self_") != "_self_"]
    merged = OmegaConf.merge(*(_group_file(group, base) for base in bases), result.config)
    assert isinstance(merged, DictConfig)
    return merged


def _wanted(config: DictConfig, kind: str) -> Path:
    """The directory that the command asks for: by Hydra's own key, by name, or a time stamp."""
    directory = Path(config.hydra[kind].dir)
    explicit = any(word.startswith(f"hydra.{kind}.dir=") for word in config.hydra.overrides.hydra)
    return directory if explicit or config.name is None else directory.parent / config.name


def _reserve(config: DictConfig, kind: str) -> None:
    """Gives the command a directory that no other has, and writes its name into the configuration."""
    wanted = _wanted(config, kind)
    stamped = config.name is None and wanted == Path(config.hydra[kind].dir)
    _set_directory(config, kind, reserve(wanted, numbered=stamped))


def _set_directory(config: DictConfig, kind: str, directory: Path) -> None:
    with read_write(config), open_dict(config):
        config.hydra[kind].dir = str(directory)
        # each job of a sweep is composed anew, from the overrides
        config.hydra.overrides.hydra.append(f"hydra.{kind}.dir='{directory}'")


def _resume(config: DictConfig, config_name: str) -> None:
    """Composes the run's own overrides together with what is given now, which may only raise `max_epochs`."""
    parent = Path(config.hydra.run.dir).parent
    if config.name is None:
        raise ConfigError("resume=true must say which run, got no name; try name=first_try")
    run = find_run(parent / config.name)
    loader = GlobalHydra.instance().config_loader()
    given: list[str] = list(config.hydra.overrides.task)
    parser = OverridesParser.create(loader)
    keys = {override.get_key_element().lstrip("+~") for override in parser.parse_overrides(given)}
    kept = [
        word
        for word, override in zip(run.overrides, parser.parse_overrides(run.overrides), strict=True)
        if override.get_key_element().lstrip("+~") not in keys.union(SHOWN)
    ]
    hydra_overrides = list(config.hydra.overrides.hydra)
    composed = loader.load_configuration(config_name, [*kept, *given, *hydra_overrides], run_mode=RunMode.RUN)
    difference = _differences(_without_hydra(composed), run.config)
    if difference:
        raise ConfigError(f"resume=true goes on with the run's own configuration, but {difference}; "
                          f"leave that out, or start a new run under another name")  # fmt: skip
    mode = config.hydra.mode
    with read_write(config), open_dict(config):
        for key in list(composed):
            config[key] = composed[key]
        config.hydra.mode = mode
    _set_directory(config, "run", run.directory)


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
