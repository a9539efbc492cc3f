"""Exit statuses and one-line refusals, for every script: 0 done, 1 a run failed, 2 refused, 128 + n a signal."""

import gc
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from simplenn import signals
from simplenn.command import standard_output
from simplenn.errors import ConfigError, Refused

AMBIGUOUS = re.compile("Ambiguous value for argument '(.*?)'\n")


def run_command(main: Callable[[], Any]) -> None:
    """Calls `main` and ends the process with the status that its outcome has."""
    signals.install()
    standard_output.install()
    logging.raiseExceptions = False  # a record that can't be written is lost, without a traceback for each
    traces = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us as they are, instead of printed by Hydra
    _keep_one_config_store()
    _compose_fast()
    try:
        main()
        sys.stdout.flush()
    except Refused as error:
        _refuse(error.message, traces)
    except ConfigError as error:
        _refuse(str(error), traces)
    except (HydraException, OmegaConfBaseException) as error:
        _refuse(_in_one_line(error), traces)
    except ValueError as error:
        if not str(error).startswith("Config group override"):  # Hydra's, for optimizer=null
            raise
        _refuse(str(error), traces)
    except OSError as error:  # a full disk, say; the run itself has said what it could
        if traces:
            traceback.print_exc()
        sys.exit(" ".join(str(error).split()))


def _refuse(message: str, traces: bool) -> None:
    if traces:
        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(2)


def _in_one_line(error: Exception) -> str:
    """Hydra's refusal of an override, in our form."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        near = (get_close_matches(choice, error.options, n=1, cutoff=0) or [""])[0]
        return f"{group} must be one of {', '.join(sorted(error.options))}, got {choice!r}; try {group}={near}"
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException) and _key(cause):
        from simplenn.config.checking import unknown_key

        return str(unknown_key(_key(cause), _keys_around(cause)))
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        return f"{error}: {str(cause).splitlines()[0]}"  # a key of Hydra's own
    if found := AMBIGUOUS.match(str(error)):
        return f"{found[1]} is more than one value; add -m to train a run for each"
    return " ".join(str(error).split())


def _key(error: OmegaConfBaseException) -> str:
    """The full key that an override names, unless it is Hydra's own."""
    key = str(error.full_key or "")
    return "" if key.startswith("hydra.") else key


def _keys_around(error: OmegaConfBaseException) -> list[str]:
    """The keys of the configuration that an error arose in."""
    from simplenn.config.checking import known_keys

    node: Any = error.parent_node
    root = node._get_root() if node is not None else None
    return known_keys(root) if isinstance(root, DictConfig) else []


def _keep_one_config_store() -> None:
    """Lets Hydra's `ConfigStore` be the singleton that it is.

    Hydra 1.3.8 deep-copies it with all its schemas for every composition, and in `--help` for every group:
    two thirds of that command's time.
    """

    def itself(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
        return store

    ConfigStore.__deepcopy__ = itself  # pyright: ignore[reportAttributeAccessIssue]


def _compose_fast() -> None:
    """Lets YAML be read by libyaml where PyYAML has it, and garbage be looked for a hundred times less often."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # OmegaConf's loader derives from it
    gc.set_threshold(100_000)
