"""Keeps what a long training could go on from, now and then. Knows nothing of what is kept, nor of where."""

import time
from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplenn import signals

SECONDS_BETWEEN = 60
IN_TRAINING = ("interrupted", "in training")  # status and message of a run of which no more is known than this


class Keeping(Callback):
    """Calls `keep` at the end of an epoch, once a minute, but not after the last one."""

    def __init__(self, keep: Callable[[], None]) -> None:
        self._keep = keep
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_last = trainer.should_stop or trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        if not is_last and time.monotonic() >= self._last + SECONDS_BETWEEN:
            with signals.deferred():
                self._keep()
            self._last = time.monotonic()
