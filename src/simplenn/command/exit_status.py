"""Exit statuses and one-line refusals, for every script: 0 done, 1 a run failed, 2 refused, 128 + n a signal."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore

from simplenn import signals
from simplenn.command import standard_output
from simplenn.command.command_line import refuse_in_one_line
from simplenn.command.refusals import in_one_line, is_the_systems, is_the_users
from simplenn.errors import Refused

REFUSED = 2
FAILED = 1


def run_command(main: Callable[[], Any], *, output_is_product: bool = False) -> None:
    """Calls `main` and ends the process with the status that its outcome has.

    Where what it prints is what it is called for, `output_is_product`, output that can't be written is a failure.

    What the user or the system has caused is told in one line; an error of ours keeps its traceback.
    """
    signals.install()
    standard_output.install()
    logging.raiseExceptions = False  # a record that can't be written is lost, without a traceback for each
    with_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets errors pass to here, instead of printing them
    refuse_in_one_line()
    keep_one_config_store()
    read_yaml_by_libyaml()
    gc.set_threshold(100_000)  # composing makes many objects and no garbage: look for it a hundred times less often
    try:
        main()
        lost = standard_output.lost_output()
        if lost is not None and output_is_product:
            _end(f"standard output can't be written: {lost.strerror or lost}", FAILED, with_traceback)
    except Refused as error:
        _end(error.message, error.status, with_traceback)
    except Exception as error:
        if is_the_users(error):
            _end(in_one_line(error), REFUSED, with_traceback)
        if is_the_systems(error):  # the run itself has said what it could
            _end(in_one_line(error), FAILED, with_traceback)
        raise
    finally:
        signals.end_work()


def _end(message: str, status: int, with_traceback: bool) -> None:
    if with_traceback:
        traceback.print_exc()
    print(message, file=sys.stderr)
    sys.exit(status)


def keep_one_config_store() -> None:
    """Lets Hydra's `ConfigStore` be the singleton that it is.

    Hydra 1.3.8 deep-copies it with all its schemas for every composition, and in `--help` for every group:
    two thirds of that command's time.
    """

    def itself(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
        return store

    ConfigStore.__deepcopy__ = itself  # pyright: ignore[reportAttributeAccessIssue]


def read_yaml_by_libyaml() -> None:
    """Lets OmegaConf read YAML by libyaml where PyYAML has it: its loader derives from `yaml.SafeLoader`."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
