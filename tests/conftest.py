"""What tests share: configurations composed as the scripts compose them, runs trained in a temporary directory, and
the scripts themselves (see `commands`)."""

import gc
import os
import signal
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands have it, before torch is loaded

import commands
import yaml
from commands import ROOT, script
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from simplenn.rundir.result import Result

yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as the commands have it: twice as fast
gc.set_threshold(100_000)

__all__ = ["ROOT", "composed", "script", "train_run"]


# The files that take longest: begun last, one of them would keep one worker busy while the other has nothing to do.
FIRST = ("test_readme", "test_sweep", "test_processes", "test_resume", "test_command", "test_commands", "test_training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, and skips what needs a GPU."""
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))
    import torch  # not by the process that only hands out the tests

    gc.freeze()  # what torch and Lightning have made isn't looked through again and again
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch sees none"))


def composed(*overrides: str) -> DictConfig:
    """The configuration that these overrides give, as `scripts/train.py` would see it."""
    return deepcopy(_composed_once(*overrides))


@cache
def _composed_once(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", list(overrides))


@pytest.fixture
def train_run(tmp_path: Path) -> Callable[..., Result]:
    """Trains in `tmp_path/<name>` without a command line; lines and bars are off."""
    from simplenn.training.train import train

    def run(name: str, *overrides: str) -> Result:
        (tmp_path / name).mkdir(exist_ok=True)
        return train(composed("quiet=true", "trainer=cpu", *overrides), tmp_path / name)

    return run


def pytest_configure(config: pytest.Config) -> None:
    # which `pytest &` of a script ignores, or `nohup pytest`; tests and the commands that they start would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):  # xdist's workers share what the process that starts them has made
        config.add_cleanup(commands.share_servers().cleanup)


def pytest_sessionfinish() -> None:
    # All are released before one is waited for: another worker of xdist's waits for those that it has started, too.
    for server in commands.SERVERS.values():
        server.release()
    for server in commands.SERVERS.values():
        server.wait()
