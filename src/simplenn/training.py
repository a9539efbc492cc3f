"""One run, from configuration to result: `train`. Knows nothing of Hydra's command line."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from torch import nn

from simplenn import checkpoint, recorder
from simplenn.config import ConfigError, check
from simplenn.data import TensorDataModule
from simplenn.interruption import Interrupted
from simplenn.progress import progress_callback
from simplenn.recorder import Diverged, Recorder
from simplenn.regressor import Regressor
from simplenn.run import Result, Run, package_versions, write_atomically
from simplenn.summary import output_lines
from simplenn.target import build, optimizer_factory

log = logging.getLogger(__name__)

RANK_VARIABLE = "LOCAL_RANK"  # set where Lightning has started this process for another's run
LIGHTNING_ADVICE = (
    "does not have many workers",
    "smaller than the logging interval",
    "GPU available but not used",
    "The `srun` command is available",
    "Total length of `list` across ranks is zero",  # no validation set
    "`isinstance.treespec, LeafSpec.` is deprecated",
)


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
        _trainer(cfg, [], Path.cwd())
    except Exception as error:
        raise ConfigError(f"trainer cannot be built as configured: {' '.join(str(error).split())}") from error


def train(cfg: DictConfig, directory: Path) -> Result:
    """Trains one run in its directory, from its last checkpoint where there is one, and writes its result.

    A run that diverges or fails is a result like another, by its `status`; only `Interrupted` is raised, and
    `ConfigError` where another process is at work in the directory.
    """
    cfg = check(cfg)
    run = Run(directory)
    if os.environ.get(RANK_VARIABLE, "0") != "0":
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
    _rewind(run)
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
        best=recorder.best_values(keeper.rows),
        seed=cfg.seed,
        seconds=round(time.monotonic() - begun, 3),
        versions=package_versions(),
        message=message,
    )
    run.write_result(result)
    if interruption is not None:
        raise interruption
    return result


def _fit(cfg: DictConfig, run: Run, keeper: Recorder) -> tuple[Regressor, L.LightningDataModule]:
    regressor, data = build_run(cfg)
    shown = progress_callback("none" if cfg.quiet else cfg.progress)
    trainer = _trainer(cfg, [keeper, *shown], run.directory)
    if trainer.is_global_zero:
        keeper.write_start(cfg, regressor, data)
    start = run.checkpoint("last")
    with without_tips(), _own_process_group(run.directory):
        trainer.fit(regressor, datamodule=data, ckpt_path=start if start.exists() else None, weights_only=True)
    return regressor, data


def _finish(cfg: DictConfig, keeper: Recorder, regressor: Regressor, data: L.LightningDataModule) -> None:
    """The figure and the printed outputs; what goes wrong with them is no failure of the run."""
    regressor.eval()
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


def _rewind(run: Run) -> None:
    """Takes the record back to the last sound checkpoint, which becomes `last`."""
    found = checkpoint.latest(run)
    epoch = checkpoint.epochs_completed(found[1]) if found else 0
    recorder.rewind(run, epoch)
    if found and found[0] != run.checkpoint("last"):
        write_atomically(run.checkpoint("last"), found[0].read_bytes())


def _trainer(cfg: DictConfig, callbacks: list[Callback], directory: Path) -> L.Trainer:
    settings: Any = OmegaConf.to_container(cfg.trainer)
    with without_tips():
        return L.Trainer(
            **settings,
            default_root_dir=directory,
            callbacks=callbacks,
            plugins=[checkpoint.SealedCheckpoint()],
            logger=False,
            enable_checkpointing=bool(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )


@contextmanager
def without_tips() -> Iterator[None]:
    """Holds back what Lightning says that is no concern of a run's user: tips, hardware found, loader advice."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for advice in LIGHTNING_ADVICE:
                warnings.filterwarnings("ignore", message=f".*{advice}")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _own_process_group(directory: Path) -> Iterator[None]:
    """Lets each run of a sweep start processes of its own, and these train this one job, not the whole sweep.

    Lightning starts them with this process's arguments, in Hydra's directory for a single run, and leaves its
    variables and its process group behind.
    """
    environment, arguments = dict(os.environ), sys.argv
    if HydraConfig.initialized():
        sys.argv = [sys.argv[0], *HydraConfig.get().overrides.task, "hydra/job_logging=stdout"]
        job: Any = HydraConfig.get()
        with read_write(job):
            job.run.dir = str(directory)
    try:
        yield
    finally:
        sys.argv = arguments
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(environment)
