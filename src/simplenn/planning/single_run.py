"""The command that trains a run of a sweep by itself."""

import sys
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from simplenn.config.schema import COMMAND_KEYS
from simplenn.planning.overrides import key_of, overrides_given

OF_SWEEPS = ("hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher", "hydra.mode")  # sweeper as well
OPTIONS = ("config_path", "config_name", "config_dir")


def arguments(sweep: DictConfig, overrides: Sequence[str]) -> list[str]:
    """What `train.py` must be told for a job with these overrides, and for the configuration to be found as here."""
    own = [word for word in overrides if key_of(word) not in COMMAND_KEYS or key_of(word) == "allow"]
    hydras = [word for word in overrides_given(sweep) if not key_of(word).startswith(OF_SWEEPS)]
    in_file = "hydra.mode" not in map(key_of, overrides_given(sweep))  # Hydra adds it for -m
    return [*_options(), *own, *hydras, *(["hydra.mode=RUN"] if in_file else [])]


def _options() -> list[str]:
    told, _ = get_args_parser().parse_known_args(sys.argv[1:])
    values = {name: getattr(told, name) for name in OPTIONS}
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]
