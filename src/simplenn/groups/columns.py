"""The runs of a group as columns: for each key of which they have values of their own, the R values."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from omegaconf import DictConfig, OmegaConf

Columns = Mapping[str, Sequence[Any]]  # by the key's full name: optimizer.lr


def num_runs_of(columns: Columns) -> int:
    """R; a group without columns is one run."""
    return len(next(iter(columns.values()), [None]))


def seeds_of(cfg: DictConfig, columns: Columns) -> list[int]:
    """[R]."""
    return [int(seed) for seed in columns.get("seed", [cfg.seed] * num_runs_of(columns))]


def config_of(cfg: DictConfig, columns: Columns, run: int) -> DictConfig:
    """The configuration of run number `run`, where `cfg` is that of the group."""
    one = deepcopy(cfg)
    for key, values in columns.items():
        OmegaConf.update(one, key, values[run])
    return one
