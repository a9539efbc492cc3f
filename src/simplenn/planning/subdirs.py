"""Each job's directory within the sweep's, by `hydra.sweep.subdir`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from simplenn.errors import ConfigError
from simplenn.planning.overrides import Job, override_dirname

SUBDIR = "hydra.sweep.subdir="
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|(?:^|/)-")
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def literal_subdir(job: Job) -> str | None:
    """The directory that the overrides name; `None` where it depends on the job's configuration."""
    subdir = next((o.removeprefix(SUBDIR) for o in reversed(job) if o.startswith(SUBDIR)), None)
    return None if subdir is None or "$" in subdir else subdir.strip("'")


def subdirs_of(
    config: DictConfig, nums: Sequence[int], jobs: Sequence[Job], columns: Mapping[str, Sequence[Any]]
) -> list[str]:
    """Each job's, as Hydra's basic launcher makes it; `config` is theirs, but for the values in `columns`.

    Raises `ConfigError` for one that isn't within the sweep's directory.
    """
    literal = [literal_subdir(job) for job in jobs]
    found = [subdir for subdir in literal if subdir is not None]
    if len(found) < len(jobs):
        found = list(_interpolated(deepcopy(config), nums, jobs, columns))
    for subdir in found:
        check_subdir(subdir)
    return found


def check_subdir(subdir: str) -> None:
    """Raises `ConfigError` for one outside of the sweep's directory, or that a terminal or a command would misread."""
    parts = subdir.split("/")
    if subdir.startswith("/") or ".." in parts or not subdir.strip("./") or UNSAFE.search(subdir):
        raise ConfigError(
            f"{SUBDIR.rstrip('=')} must be a path within the sweep's directory, without control characters or parts "
            f"that begin with -, got {subdir!r:.200}; try '{SUBDIR}runs/${{hydra.job.num}}'"
        )


def _interpolated(
    config: DictConfig, nums: Sequence[int], jobs: Sequence[Job], columns: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    hydra: Any = OmegaConf.to_container(config.hydra, resolve=False)
    subdir, settings = str(hydra["sweep"]["subdir"]), hydra["job"]["config"]["override_dirname"]
    for run, (num, job) in enumerate(zip(nums, jobs, strict=True)):
        values = {
            "hydra.job.num": num,
            "hydra.job.id": num,
            "hydra.job.override_dirname": override_dirname(job, settings),
            **{key: column[run] for key, column in columns.items()},
        }
        yield _filled(subdir, values) or _resolved(config, values)


def _filled(subdir: str, values: Mapping[str, Any]) -> str | None:
    """The directory, if it refers to nothing but these values. OmegaConf's own grammar takes 0.3 ms a job."""
    filled = REFERENCE.sub(lambda reference: str(values.get(reference[1], reference[0])), subdir)
    return None if set(filled) & set("$\\") else filled


def _resolved(config: DictConfig, values: Mapping[str, Any]) -> str:
    with read_write(config), open_dict(config), _as_hydra_config(config):
        for key, value in values.items():
            OmegaConf.update(config, key, value)
        return str(config.hydra.sweep.subdir)


@contextmanager
def _as_hydra_config(config: DictConfig) -> Iterator[None]:
    """Lets `${hydra:...}` refer to this configuration."""
    hydra: Any = HydraConfig.instance()
    before, hydra.cfg = hydra.cfg, config
    try:
        yield
    finally:
        hydra.cfg = before
