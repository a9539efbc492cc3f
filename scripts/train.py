"""Trains one run, or with -m a sweep: python scripts/train.py optimizer=adam optimizer.lr=0.003 seed=7"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


import logging
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from simplenn.command import run_command
from simplenn.command.sweeping import Sweeping, batched_by, finished
from simplenn.errors import ConfigError
from simplenn.scripts import script_command
from simplenn.signals import Interrupted

log = logging.getLogger("simplenn.train")
sweeping = Sweeping()


@batched_by(sweeping)
def train_job(cfg: DictConfig) -> float:
    """One job of Hydra's; its value is what a search minimises."""
    from simplenn.planning import naming
    from simplenn.rundir import summary
    from simplenn.training import train

    job = HydraConfig.get()
    directory = Path(job.runtime.output_dir)
    if job.mode != RunMode.RUN:
        return sweeping.train_single(cfg, directory, Path(job.sweep.dir))
    try:
        result = train(cfg, directory)
    except Interrupted:
        allow = [f"allow=[{','.join(cfg.allow)}]"] if cfg.allow else []  # what a resume must be told anew
        log.info("go on with: %s", script_command("train.py", naming(directory, "run"), "resume=true", *allow))
        raise
    if not cfg.quiet:
        summary.log_place(directory)
    if result.status != "done":
        sys.exit(1)
    return result.objective


main = hydra.main(version_base="1.3", config_path="../conf", config_name="train")(train_job)


def train_or_sweep() -> None:
    if any(word.partition("=")[0] == "--allow" for word in sys.argv[1:]):  # as the other scripts have it
        raise ConfigError("train.py takes allow as a key, got --allow; try 'allow=[my_package]'")
    finished(main, sweeping)()


if __name__ == "__main__":
    run_command(train_or_sweep)
