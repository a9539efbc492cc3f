"""What tests share: configurations composed as the scripts compose them, runs trained in a temporary directory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands have it, before torch is loaded

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from simplenn.rundir.run import Result

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def composed(*overrides: str) -> DictConfig:
    """The configuration that these overrides give, as `scripts/train.py` would see it."""
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


def script(name: str, *arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A script of the repo's, run as a user runs it."""
    command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=300, check=False)
