"""What is tried before anything is written: all that a run is built from, and its network on two samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from simplenn.config import try_optimizers
from simplenn.errors import ConfigError
from simplenn.rank import refuse_other_number
from simplenn.setup import build_run, keep_data, kept_data
from simplenn.training.shapes import check_shapes
from simplenn.training.trainer import make_trainer


def rehearse(cfg: DictConfig, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
    """Raises `ConfigError` for what only torch can tell: a missing GPU, a value that a constructor refuses, shapes.

    The data that it has set up for that wait for the training that follows in this process. `columns` are the values of
    the runs of a sweep that differ from the configuration in them alone.
    """
    _refuse_hardware(cfg)
    try_optimizers(cfg, columns or {})
    regressor, data = build_run(cfg, kept_data(cfg))
    regressor.configure_optimizers()
    try:
        trainer = make_trainer(cfg.trainer, Path.cwd())
    except Exception as error:
        raise ConfigError(f"trainer cannot be built as configured: {' '.join(str(error).split())}") from error
    refuse_other_number(cfg.trainer, trainer.num_devices * trainer.num_nodes)
    check_shapes(regressor, data, trainer)
    keep_data(cfg, data)


def _refuse_hardware(cfg: DictConfig) -> None:
    """What this machine's devices can't do."""
    accelerator = cfg.trainer.get("accelerator", "auto")
    devices = cfg.trainer.get("devices", 1)
    found = torch.cuda.device_count()
    if (
        accelerator in ("gpu", "cuda")
        and not found
        and not (accelerator == "gpu" and torch.backends.mps.is_available())
    ):
        raise ConfigError(
            f"trainer.accelerator={accelerator} needs a GPU that torch can use, and there is none; try trainer=cpu"
        )
    if accelerator in ("gpu", "cuda") and isinstance(devices, int) and devices > max(found, 1):
        raise ConfigError(f"trainer.devices must be at most {found}, the GPUs of this machine, got {devices}")
    precision = str(cfg.trainer.get("precision", "32-true"))
    if precision.startswith("16-") and (accelerator == "cpu" or (accelerator == "auto" and not found)):
        raise ConfigError(
            f"trainer.precision={precision} needs a GPU; try trainer.precision=b{precision.replace('16', 'f16')}"
        )
