"""The command that trains a run of a sweep by itself."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import COMMAND_WIDE
from simplenn.planning.overrides import key_of, overrides_given

OF_SWEEPS = ("hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher", "hydra.mode")  # sweeper as well
CONFIG_OPTIONS = {"--config-path": "-cp", "--config-name": "-cn", "--config-dir": "-cd"}  # where Hydra reads files


def arguments(sweep: DictConfig, overrides: Sequence[str], command: Sequence[str] | None = None) -> list[str]:
    """The arguments with which `train.py` trains the job of these overrides, in the configuration of this sweep.

    `command` are the arguments of the sweep's own command, where it isn't this process's.
    """
    own = [o for o in overrides if key_of(o) not in COMMAND_WIDE or key_of(o) == "allow"]
    hydras = [o for o in overrides_given(sweep) if not key_of(o).startswith(OF_SWEEPS)]
    return [
        *config_options(sys.argv[1:] if command is None else command),
        *own,
        *hydras,
        *(["hydra.mode=RUN"] if _is_in_file(sweep) else []),
    ]


def _is_in_file(sweep: DictConfig) -> bool:
    """Whether a file makes a sweep of the command: it says what is gone over, also where -m was given besides, as to go
    on with the sweep; or no -m was given, for which Hydra adds the mode."""
    hydras: Any = OmegaConf.to_container(sweep.hydra, resolve=False)  # a stranger's, it may be
    sweeper = hydras.get("sweeper")
    goes_over = isinstance(sweeper, dict) and bool(sweeper.get("params"))
    return goes_over or "hydra.mode" not in map(key_of, overrides_given(sweep))


def config_options(arguments: Sequence[str]) -> list[str]:
    """Those of a command's arguments that say where the configuration is found, as `--config-dir=...`."""
    parser = ArgumentParser(add_help=False)
    for option, short in CONFIG_OPTIONS.items():
        parser.add_argument(option, short)
    options, _ = parser.parse_known_args(arguments)
    return [f"--{name.replace('_', '-')}={value}" for name, value in vars(options).items() if value is not None]
