"""One run, from configuration to result: `train`. Knows nothing of Hydra's command line."""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from simplenn import signals
from simplenn.config.checking import check_config
from simplenn.config.targets import try_optimizers
from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.rank import is_main_process, refuse_other_number
from simplenn.regressor import Regressor
from simplenn.rundir.rewind import rewind
from simplenn.rundir.run import Result, Run, Unwritable, package_versions
from simplenn.rundir.summary import output_lines
from simplenn.setup import build_run
from simplenn.signals import Interrupted
from simplenn.training.divergence import Diverged, DivergenceCheck
from simplenn.training.processes import own_process_group, tells_of_an_end
from simplenn.training.progress import progress_callback
from simplenn.training.randomness import EpochSeed
from simplenn.training.recorder import Recorder
from simplenn.training.rows import Rows
from simplenn.training.shapes import check_shapes
from simplenn.training.shares import Shares
from simplenn.training.trainer import make_trainer, without_tips

log = logging.getLogger(__name__)


def callbacks_of(cfg: DictConfig, rows: Rows) -> list[Callback]:
    """What attends a run's training, in the order in which Lightning calls it."""
    shown = progress_callback("none" if cfg.quiet else cfg.progress)
    return [EpochSeed(cfg.seed), Shares(), DivergenceCheck(), *shown, rows]


def rehearse(cfg: DictConfig, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
    """Raises `ConfigError` for what only torch can tell: a missing GPU, a value that a constructor refuses, shapes.

    `columns` are the values of the runs of a sweep that differ from the configuration in them alone.
    """
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
    try_optimizers(cfg, columns or {})
    regressor, data = build_run(cfg)
    regressor.configure_optimizers()
    try:
        trainer = make_trainer(cfg.trainer, Path.cwd())
    except Exception as error:
        raise ConfigError(f"trainer cannot be built as configured: {' '.join(str(error).split())}") from error
    refuse_other_number(cfg.trainer, trainer.num_devices * trainer.num_nodes)
    check_shapes(regressor, data, trainer)


def train(cfg: DictConfig, directory: Path) -> Result:
    """Trains one run in its directory, from its last checkpoint where there is one, and writes its result.

    A run that diverges or fails is a result like another, by its `status`; `seconds` adds up over the sessions of a
    resumed run. Only `Interrupted` is raised, and `ConfigError` where another process is at work in the directory
    or its record can't be gone on from.
    """
    cfg = check_config(cfg)
    run = Run(directory)
    if not is_main_process(cfg.trainer):
        _take_part(cfg, run)
    with run.locked():
        before = run.result()
        if before is not None and _is_done(before, cfg):
            log.info("nothing to do: raise trainer.max_epochs above %d to train on", before.epoch)
            return before
        return _train(cfg, run, before.seconds if before else 0.0)


def _take_part(cfg: DictConfig, run: Run) -> NoReturn:
    """What a process does that isn't the main one, which alone writes and tells how the run ended."""
    try:
        if not _is_done(run.result(), cfg):
            with suppress(Diverged):
                _fit(cfg, run, Recorder(run))
    except Interrupted as error:
        sys.exit(error.code)
    except Exception as error:
        _outcome(error)
        sys.exit(1)
    sys.exit()


def _is_done(before: Result | None, cfg: DictConfig) -> bool:
    return before is not None and before.status == "done" and before.epoch >= cfg.trainer.max_epochs


def _train(cfg: DictConfig, run: Run, seconds_before: float) -> Result:
    begun = time.monotonic()
    rewind(run)
    recorder = Recorder(run, histograms=cfg.histograms)
    cause: BaseException | None = None
    try:
        _finish(cfg, recorder, *_fit(cfg, run, recorder))
    except (Interrupted, Exception) as error:
        cause = signals.cause_of(error) or error  # a signal may have ended another process first
    with signals.deferred():  # a second signal finds the result written
        result = _conclude(recorder, cause, cfg.seed, seconds_before + time.monotonic() - begun)
        result = _written(result, recorder.close, result)
        result = _written(result, run.write_result, result)
    if isinstance(cause, Interrupted):
        raise cause
    return result


def _written(result: Result, write: Callable[[Any], None], argument: Any) -> Result:
    """The result, or the failure that it becomes where the system will not write."""
    try:
        write(argument)
    except Unwritable as error:
        if result.status != "failed":  # else a reason has been told
            log.error("%s", error)
            return replace(result, status="failed", message=str(error))
    return result


def _conclude(recorder: Recorder, cause: BaseException | None, seed: int, seconds: float) -> Result:
    """What is left of a training that `cause` ended, or that came to its end by itself."""
    last: dict[str, float] = {"epoch": 0}
    for row in recorder.rows:  # validation may not have come with the last epoch
        last |= row
    status, message = _outcome(cause)
    return Result(
        status=status,
        epoch=cause.epoch if isinstance(cause, Diverged) else int(last["epoch"]),
        metrics={name: value for name, value in last.items() if name not in ("epoch", "step")},
        best=recorder.best.values,
        seed=seed,
        seconds=round(seconds, 3),
        versions=package_versions(),
        message=message,
    )


def _outcome(cause: BaseException | None) -> tuple[str, str]:
    """The status and the message; logs what the user must know."""
    match cause:
        case None:
            return "done", ""
        case Diverged():
            return "diverged", str(cause)
        case Interrupted():
            log.warning("interrupted by %s", cause.signal_name)
            return "interrupted", cause.signal_name
        case Unwritable():
            log.error("%s; what was written before is intact: make room, then go on with resume=true", cause)
            return "failed", str(cause)
        case _ if cause is not None and tells_of_an_end(cause):
            log.error("another process of the run has ended; what was written before is intact: go on with resume=true")
            return "failed", "another process of the run has ended"
        case _:
            log.error("the run failed", exc_info=cause)
            return "failed", f"{type(cause).__name__}: {cause}"


def _fit(cfg: DictConfig, run: Run, recorder: Recorder) -> tuple[Regressor, L.LightningDataModule]:
    regressor, data = build_run(cfg)
    trainer = make_trainer(cfg.trainer, run.directory, callbacks_of(cfg, recorder))
    if trainer.is_global_zero:
        recorder.write_start(cfg, regressor, data)
    start = run.checkpoint("last")
    trainer.precision_plugin.convert_module(regressor)  # Lightning does so too, but after it has read the checkpoint
    with without_tips(), own_process_group(run.directory):
        trainer.fit(regressor, datamodule=data, ckpt_path=start if start.exists() else None, weights_only=True)
    return regressor, data


def _finish(cfg: DictConfig, recorder: Recorder, regressor: Regressor, data: L.LightningDataModule) -> None:
    """The figure and the printed outputs; what goes wrong with them is no failure of the run."""
    regressor.eval()
    try:
        recorder.write_end(regressor, data)
        if cfg.show_outputs and not cfg.quiet:
            _say_outputs(regressor, data)
    except Unwritable:
        raise
    except Exception:
        log.warning("the final figure or outputs could not be made", exc_info=True)


def _say_outputs(regressor: Regressor, data: L.LightningDataModule) -> None:
    if isinstance(data, TensorDataModule) and data.train is not None:
        x, y = data.train.tensors
        outputs = regressor.predict(x)
        for line in output_lines(x.tolist(), outputs[:, 0].tolist(), y[:, 0].tolist()):
            log.info(line)
