"""One run, from configuration to result: `train`. Knows nothing of Hydra's command line."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from simplenn import signals
from simplenn.config import check_config, identity
from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.rank import is_main_process
from simplenn.rundir import (
    Result,
    Run,
    Unwritable,
    closing_lines,
    code_of,
    code_of_both,
    final_metrics,
    log_lines,
    output_lines,
    package_versions,
)
from simplenn.rundir.rewind import rewind
from simplenn.rundir.summary import log_nothing_to_do
from simplenn.setup import Setup, build_run, take_data
from simplenn.signals import Interrupted
from simplenn.training.divergence import Diverged, DivergenceCheck
from simplenn.training.parts import Parts
from simplenn.training.processes import ProcessLost, is_lost_connection, own_process_group
from simplenn.training.progress import progress_callback
from simplenn.training.randomness import EpochSeed
from simplenn.training.recorder import Recorder
from simplenn.training.rows import Rows
from simplenn.training.shares import Shares
from simplenn.training.trainer import make_trainer, without_tips

log = logging.getLogger(__name__)


def train(cfg: DictConfig, directory: Path, callbacks: Sequence[Callback] = ()) -> Result:
    """Trains one run in its directory, from its last checkpoint where there is one, and writes and logs its result.

    `callbacks` come behind the run's own, and change nothing of what it records. A run that diverges or fails is a
    result like another, by its `status`; `seconds` adds up over the sessions of a resumed run. Only `Interrupted` is
    raised, and `ConfigError` where another process is at work in the directory or its record can't be gone on from.
    """
    cfg = check_config(cfg)
    run = Run(directory)
    if not is_main_process(cfg.trainer):
        _train_beside_main_process(cfg, run)
    with run.locked():
        run.tidy()
        before = run.result()
        if before is not None and before.reaches(cfg.trainer.max_epochs):
            log_nothing_to_do(before, quiet=cfg.quiet)
            return before
        return _train(cfg, run, before, callbacks)


def callbacks_of(cfg: DictConfig, rows: Rows) -> list[Callback]:
    """The callbacks of a run's training, in the order in which Lightning calls them."""
    progress = progress_callback("none" if cfg.quiet else cfg.progress)
    return [EpochSeed(cfg.seed), Shares(), Parts(), DivergenceCheck(), *progress, rows]


def _train_beside_main_process(cfg: DictConfig, run: Run) -> NoReturn:
    """Trains in step with the main process, which alone writes and logs how the run ended; then ends this process."""
    signals.begin_work()
    try:
        before = run.result()
        if before is None or not before.reaches(cfg.trainer.max_epochs):
            with suppress(Diverged):
                _fit(cfg, run, Recorder(run, identity(cfg)), _status_of_lost)
    except Interrupted as error:
        sys.exit(error.code)
    except Exception as error:
        if not is_lost_connection(error):  # which the main process tells of
            _log_error(error)
        sys.exit(1)
    sys.exit()


def _status_of_lost(lost: ProcessLost) -> int:
    """The exit status of a process beside the main one that waits for others which have ended."""
    return 1


def _train(cfg: DictConfig, run: Run, before: Result | None, callbacks: Sequence[Callback]) -> Result:
    begun = time.monotonic()
    seconds_before = before.seconds if before else 0.0
    signals.begin_work()
    own = identity(cfg)
    rewind(run, own, before)
    recorder = Recorder(run, own, histograms=cfg.histograms)
    code = code_of_both(before.code if before and recorder.rows else {}, code_of(cfg))
    outputs: list[str] = []
    cause: BaseException | None = None

    def give_up(lost: ProcessLost) -> int:
        """For a process that waits within torch, where no exception reaches it: writes how the run ended."""
        cause = signals.cause_of(lost) or lost
        _log_error(cause)
        _end(cfg, run, recorder, code, cause, seconds_before + time.monotonic() - begun)
        return 128 + signal.Signals[cause.signal_name] if isinstance(cause, Interrupted) else 1

    try:
        setup = _fit(cfg, run, recorder, give_up, callbacks)
        outputs = _figure_and_outputs(cfg, recorder, setup)
    except (Interrupted, Exception) as error:
        cause = signals.cause_of(error) or error  # a signal may have ended another process first
    with signals.deferred():  # a second signal finds the result written
        if cause is not None:
            _log_error(cause)
        result = _end(cfg, run, recorder, code, cause, seconds_before + time.monotonic() - begun, outputs)
    if isinstance(cause, Interrupted):
        raise cause
    return result


def _end(
    cfg: DictConfig,
    run: Run,
    recorder: Recorder,
    code: dict[str, str],
    cause: BaseException | None,
    seconds: float,
    outputs: Sequence[str] = (),
) -> Result:
    """Writes and logs how the run ended; what the system doesn't write is told once, and leaves it interrupted."""
    result = _result(recorder, code, cause, cfg, seconds)
    said = isinstance(cause, Unwritable)
    for write in (recorder.close, run.write_result):
        try:
            write(result)
        except Unwritable as error:
            if not said:
                _log_error(error)
                said = True
            if cause is None or isinstance(cause, Diverged):
                result = replace(result, status="interrupted", message=str(error))
    log_lines(closing_lines(result, quiet=cfg.quiet, outputs=outputs))
    return result


def _result(
    recorder: Recorder, code: dict[str, str], cause: BaseException | None, cfg: DictConfig, seconds: float
) -> Result:
    """What is left of a training that `cause` ended, or that came to its end by itself."""
    status, message = _status_and_message(cause)
    return Result(
        status=status,
        epoch=cause.epoch if isinstance(cause, Diverged) else int(recorder.rows[-1]["epoch"]) if recorder.rows else 0,
        metrics=final_metrics(recorder.rows),
        best=recorder.best.values,
        seed=cfg.seed,
        seconds=round(seconds, 3),
        versions=package_versions(),
        message=message,
        identity=identity(cfg),
        code=code,
    )


def _status_and_message(cause: BaseException | None) -> tuple[str, str]:
    match cause:
        case None:
            return "done", ""
        case Diverged():
            return "diverged", str(cause)
        case Interrupted():
            return "interrupted", cause.signal_name
        case Unwritable():
            return "interrupted", str(cause)  # it goes on once there is room
        case _ if cause is not None and is_lost_connection(cause):
            return "failed", str(cause)
        case _:
            return "failed", f"{type(cause).__name__}: {cause}"


def _log_error(cause: BaseException) -> None:
    """An error that made the run fail, and what can be done; one of ours, or of the user's code, with its traceback."""
    if isinstance(cause, Diverged | Interrupted):
        return  # how the run ended says it
    if isinstance(cause, Unwritable):
        log.error("%s; what was written before is intact: make room, then go on with resume=true", cause)
    elif is_lost_connection(cause):
        log.error("%s; what was written before is intact: go on with resume=true", cause)
    elif isinstance(cause, ConfigError):
        log.error("the run failed: %s", cause)
    else:
        log.error("the run failed", exc_info=cause)


def _fit(
    cfg: DictConfig,
    run: Run,
    recorder: Recorder,
    give_up: Callable[[ProcessLost], int],
    callbacks: Sequence[Callback] = (),
) -> Setup:
    setup = build_run(cfg, take_data(cfg))
    trainer = make_trainer(cfg.trainer, run.directory, [*callbacks_of(cfg, recorder), *callbacks])
    if trainer.is_global_zero:
        recorder.write_start(cfg, *setup)
    last_checkpoint = run.checkpoint("last")
    # Lightning converts it too, but only after it has read the checkpoint
    trainer.precision_plugin.convert_module(setup.regressor)
    with without_tips(), own_process_group(cfg, run.directory, give_up):
        trainer.fit(
            setup.regressor,
            datamodule=setup.data,
            ckpt_path=last_checkpoint if last_checkpoint.exists() else None,
            weights_only=True,
        )
    if trainer.num_training_batches == 0:  # Lightning ends without a word
        raise ConfigError("data must have training batches, got none; let its train_dataloader give one or more")
    return setup


def _figure_and_outputs(cfg: DictConfig, recorder: Recorder, setup: Setup) -> list[str]:
    """Writes the final figure; returns the lines of the network's outputs, if they are to be shown.

    What goes wrong with either is no failure of the run.
    """
    regressor, data = setup
    regressor.eval()
    try:
        recorder.write_end(regressor, data)
        if cfg.show_outputs and not cfg.quiet and isinstance(data, TensorDataModule) and data.train is not None:
            x, y = data.train.tensors
            return output_lines(x.tolist(), regressor.predict(x)[:, 0].tolist(), y[:, 0].tolist())
    except Unwritable:
        raise
    except Exception:
        log.warning("the final figure or outputs could not be made", exc_info=True)
    return []
