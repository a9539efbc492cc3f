"""A further process of one run, as Lightning starts it: `child.py <file>`, with a file that `processes` has written.

It composes nothing, so that it trains exactly what the main process does. From its first line on it ends with its
parent; the imports that take seconds come afterwards. What Lightning adds to the command line is for Hydra and ignored.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def _train(given: dict[str, Any]) -> None:
    from simplenn import signals

    signals.install()

    import logging

    from omegaconf import DictConfig

    logging.raiseExceptions = False
    logging.basicConfig(level=given["log_level"], format="%(message)s", stream=sys.stdout)
    _let_hydra_know(given["hydra"])
    from simplenn.training.train import train

    train(DictConfig(given["config"]), Path(given["directory"]))


def _let_hydra_know(job: dict[str, Any] | None) -> None:
    """For code of the user's that asks Hydra for the directory that the command was started in, say."""
    if job is None:
        return
    from hydra.conf import HydraConf
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    HydraConfig.instance().set_config(
        OmegaConf.create({"hydra": OmegaConf.merge(OmegaConf.structured(HydraConf), job)})
    )


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        given = json.load(file)
    sys.path[:] = given["path"]  # else this file's folder is the first place to look for modules
    from simplenn.rank import end_with_parent

    end_with_parent(given["parent"])
    os.chdir(given["cwd"])
    _train(given)
