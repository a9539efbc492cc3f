"""One run, from configuration to result: `train`. Knows nothing of Hydra's command line."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from simplenn import checkpoint, recorder
from simplenn.config import ConfigError, check
from simplenn.data import TensorDataModule
from simplenn.interruption import Interrupted
from simplenn.progress import progress_callback
from simplenn.recorder import Diverged, Recorder
from simplenn.regressor import Regressor
from simplenn.review import write_end, write_start
from simplenn.run import Result, Run
from simplenn.summary import output_lines
from simplenn.target import build, optimizer_factory

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
    if accelerator in ("gpu", "cuda") and not found and not (accelerator == "gpu" and torch.backends.mps.is_available()):
        raise ConfigError(
            f"trainer.accelerator={accelerator} needs a GPU that torch can use, and there is none; try trainer=cpu"
        )
    if accelerator in ("gpu", "cuda") and isinstance(devices, int) and devices > max(found, 1):
        raise ConfigError(f"trainer.devices must be at most {found}, the GPUs of this machine, got {devices}")
    regressor, _ = build_run(cfg)
    regressor.configure_optimizers()


def train(cfg: DictConfig, directory: Path) -> Result:
    """Trains one run in its directory, from its last checkpoint where there is one, and writes its result.

    A run that diverges or fails is a result like another, by its `status`; only `Interrupted` is raised.
    """
    cfg = check(cfg)
    run = Run(directory)
    begun = time.monotonic()
    status, message, interruption, epoch = "done", "", None, None
    keeper = None
    try:
        regressor, data = build_run(cfg)
        start = _rewound(run)
        keeper = Recorder(run, histograms=cfg.histograms)
        trainer = _trainer(cfg, keeper, directory)
        if trainer.is_global_zero and start is None:
            write_start(keeper.events, cfg, regressor, data)
        with without_tips(), _own_process_group():
            trainer.fit(regressor, datamodule=data, ckpt_path=start, weights_only=True)
    except Diverged as error:
        status, message, epoch = "diverged", str(error), error.epoch
        log.warning("%s; the last finite state is kept", error)
    except Interrupted as error:
        status, message, interruption = "interrupted", error.signal_name, error
    except Exception as error:
        status, message = "failed", f"{type(error).__name__}: {error}"
        log.exception("the run failed")
    if os.environ.get("LOCAL_RANK", "0") != "0":
        sys.exit(0 if status == "done" else 1)
    rows = keeper.rows if keeper else []
    last = rows[-1] if rows else {"epoch": 0}
    result = Result(
        status=status,
        epoch=int(epoch or last["epoch"]),
        metrics={name: value for name, value in last.items() if name not in ("epoch", "step")},
        best=recorder.best_values(rows),
        seed=cfg.seed,
        seconds=round(time.monotonic() - begun, 3),
        versions={name: version(name) for name in PACKAGES},
        message=message,
    )
    if keeper is not None:
        write_end(keeper.events, result, regressor, data)
        keeper.close()
    if cfg.show_outputs and status == "done" and not cfg.quiet:
        _say_outputs(regressor, data)
    run.write_result(result)
    if interruption is not None:
        raise interruption
    return result


def _say_outputs(regressor: Regressor, data: L.LightningDataModule) -> None:
    if isinstance(data, TensorDataModule) and data.train is not None:
        x, y = data.train.tensors
        with torch.no_grad():
            outputs = regressor(x)
        for line in output_lines(x.tolist(), outputs[:, 0].tolist(), y[:, 0].tolist()):
            log.info(line)


def _rewound(run: Run) -> Path | None:
    """The checkpoint to go on from, the record taken back to it; `None` for a run from the start."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        path = run.checkpoint("last")
        return path if path.exists() else None
    found = checkpoint.latest(run)
    epoch = checkpoint.epochs_completed(found[1]) if found else 0
    recorder.rewind(run, epoch)
    return found[0] if found and epoch else None


def _trainer(cfg: DictConfig, keeper: Recorder, directory: Path) -> L.Trainer:
    settings: Any = OmegaConf.to_container(cfg.trainer)
    with without_tips():
        return L.Trainer(
            **settings,
            default_root_dir=directory,
            callbacks=[keeper, *progress_callback("none" if cfg.quiet else cfg.progress)],
            plugins=[checkpoint.SealedCheckpoint()],
            logger=False,
            enable_checkpointing=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )


@contextmanager
def without_tips() -> Iterator[None]:
    """Holds back what Lightning says that is no concern of a run's user: tips, hardware found, loader advice."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in (".*does not have many workers.*", ".*smaller than the logging interval.*",
                            ".*GPU available but not used.*", ".*srun.*", ".*no `val_dataloader`.*",
                            ".*Checkpoint directory .* exists.*", ".*isinstance.treespec, LeafSpec.*"):  # fmt: skip
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _own_process_group() -> Iterator[None]:
    """Lets each run of a sweep start processes of its own, and these run this one job, not the whole sweep.

    Lightning starts them with this process's arguments and leaves its variables and group behind.
    """
    environment, arguments = dict(os.environ), sys.argv
    sys.argv = [sys.argv[0], *_job_arguments()]
    try:
        yield
    finally:
        sys.argv = arguments
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(environment)


def _job_arguments() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return sys.argv[1:]
    job = HydraConfig.get()
    return [*job.overrides.task, "hydra/job_logging=none"]
