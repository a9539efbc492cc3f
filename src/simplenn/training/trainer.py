"""Lightning's Trainer as this project makes it: no logger, bars or tips of its own."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simplenn.rundir import checkpoint

LIGHTNING_ADVICE = (
    "does not have many workers",
    "smaller than the logging interval",
    "GPU available but not used",
    "The `srun` command is available",
    "Total length of `list` across ranks is zero",  # no validation set
    "`isinstance.treespec, LeafSpec.` is deprecated",
    "There is a performance drop because we have not yet implemented the batching rule",  # torch, for a stack
)


def make_trainer(
    settings: DictConfig,
    directory: Path,
    callbacks: Sequence[Callback] = (),
    checkpoint_io: CheckpointIO | None = None,
) -> L.Trainer:
    """A Trainer by the settings of the group `trainer`; only with a callback that saves may it write.

    `checkpoint_io` is what becomes of a checkpoint; by default a sealed file.
    """
    keywords: Any = OmegaConf.to_container(settings)
    keywords.pop("compile", None)  # the stack's, not Lightning's
    with without_tips():
        return L.Trainer(
            **keywords,
            default_root_dir=directory,
            callbacks=list(callbacks),
            plugins=[checkpoint_io or checkpoint.SealedCheckpoint()],
            logger=False,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )


def show_metrics(trainer: L.Trainer, values: Mapping[str, Tensor]) -> None:
    """Gives callbacks, such as the progress bar and the row of an epoch, values to read from `callback_metrics`.

    `LightningModule.log` would do so too, but it takes 0.4 ms a value. That Lightning keeps what is written there is
    held by `tests/stacking/test_upstream.py`.
    """
    trainer.callback_metrics.update(values)


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
