"""One run, from configuration to result: `train`. Knows nothing of Hydra's command line."""

import logging
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import lightning.pytorch as L
import torch
from omegaconf import DictConfig
from torch import nn

from simplenn.config import check
from simplenn.data import TensorDataModule
from simplenn.divergence import Diverged, DivergenceCheck
from simplenn.interruption import Interrupted
from simplenn.metrics import best_values
from simplenn.processes import own_process_group
from simplenn.progress import progress_callback
from simplenn.rank import is_main_process
from simplenn.recorder import Recorder
from simplenn.refusal import ConfigError
from simplenn.regressor import Regressor
from simplenn.rewind import rewind
from simplenn.run import Result, Run
from simplenn.summary import output_lines
from simplenn.target import build, optimizer_factory
from simplenn.trainer import make_trainer, without_tips

log = logging.getLogger(__name__)

PACKAGES = ("simplenn", "torch", "lightning", "hydra-core", "tensorboard")


def build_run(cfg: DictConfig) -> tuple[Regressor, L.LightningDataModule]:
    """The network with its initial weights, which the seed alone decides, and the data. Raises `ConfigError`."""
    L.seed_everything(cfg.seed, verbose=False)
    network = build(cfg, "model", nn.Module)
    regressor = Regressor(network, optimizer_factory(cfg), cfg.seed)
    data = build(cfg, "data", L.LightningDataModule)
    if isinstance(data, TensorDataModule):
        data.shuffle_seed = cfg.seed
    return regressor, data


def rehearse(cfg: DictConfig) -> None:
    """Raises `ConfigError` for what only torch can tell: a missing GPU, a value that a constructor refuses."""
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
    regressor, _ = build_run(cfg)
    regressor.configure_optimizers()
    try:
        make_trainer(cfg.trainer, Path.cwd())
    except Exception as error:
        raise ConfigError(f"trainer cannot be built as configured: {' '.join(str(error).split())}") from error


def train(cfg: DictConfig, directory: Path) -> Result:
    """Trains one run in its directory, from its last checkpoint where there is one, and writes its result.

    A run that diverges or fails is a result like another, by its `status`; only `Interrupted` is raised, and
    `ConfigError` where another process is at work in the directory.
    """
    cfg = check(cfg)
    run = Run(directory)
    if not is_main_process():
        with suppress(Diverged):  # the main process tells
            _fit(cfg, run, Recorder(run))
        sys.exit()
    with run.locked():
        before = run.result()
        if before is not None and before.status == "done" and before.epoch >= cfg.trainer.max_epochs:
            log.info("nothing to do: raise trainer.max_epochs above %d to train on", before.epoch)
            return before
        return _train(cfg, run)


def _train(cfg: DictConfig, run: Run) -> Result:
    begun = time.monotonic()
    status, message, diverged_epoch, interruption = "done", "", None, None
    rewind(run)
    keeper = Recorder(run, histograms=cfg.histograms)
    try:
        _finish(cfg, keeper, *_fit(cfg, run, keeper))
    except Diverged as error:
        status, message, diverged_epoch = "diverged", str(error), error.epoch
    except Interrupted as error:
        status, message, interruption = "interrupted", error.signal_name, error
        log.warning("interrupted by %s", message)
    except Exception as error:
        status, message = "failed", f"{type(error).__name__}: {error}"
        log.exception("the run failed")
    keeper.close(status)
    last: dict[str, float] = {"epoch": 0}
    for row in keeper.rows:  # validation may not have come with the last epoch
        last |= row
    result = Result(
        status=status,
        epoch=int(diverged_epoch or last["epoch"]),
        metrics={name: value for name, value in last.items() if name not in ("epoch", "step")},
        best=best_values(keeper.rows),
        seed=cfg.seed,
        seconds=round(time.monotonic() - begun, 3),
        versions={name: version(name) for name in PACKAGES},
        message=message,
    )
    run.write_result(result)
    if interruption is not None:
        raise interruption
    return result


def _fit(cfg: DictConfig, run: Run, keeper: Recorder) -> tuple[Regressor, L.LightningDataModule]:
    regressor, data = build_run(cfg)
    shown = progress_callback("none" if cfg.quiet else cfg.progress)
    trainer = make_trainer(cfg.trainer, run.directory, [DivergenceCheck(), *shown, keeper])
    if trainer.is_global_zero:
        keeper.write_start(cfg, regressor, data)
    start = run.checkpoint("last")
    with without_tips(), own_process_group(run.directory):
        trainer.fit(regressor, datamodule=data, ckpt_path=start if start.exists() else None, weights_only=True)
    return regressor, data


def _finish(cfg: DictConfig, keeper: Recorder, regressor: Regressor, data: L.LightningDataModule) -> None:
    """The figure and the printed outputs; what goes wrong with them is no failure of the run."""
    try:
        keeper.write_end(regressor, data)
        if cfg.show_outputs and not cfg.quiet:
            _say_outputs(regressor, data)
    except Exception:
        log.warning("the final figure or outputs could not be made", exc_info=True)


def _say_outputs(regressor: Regressor, data: L.LightningDataModule) -> None:
    if isinstance(data, TensorDataModule) and data.train is not None:
        x, y = data.train.tensors
        outputs = regressor.predict(x)
        for line in output_lines(x.tolist(), outputs[:, 0].tolist(), y[:, 0].tolist()):
            log.info(line)
