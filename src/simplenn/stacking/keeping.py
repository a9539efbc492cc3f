"""Keeps what a long training could go on from, now and then. Knows nothing of what is kept, nor of where."""

import time
from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplenn import signals

SECONDS_BETWEEN = 60
MOST_SECONDS = 1.2  # that keeping may take in so long; where it takes longer, it comes less often, for the same share
IN_TRAINING = ("interrupted", "in training")  # status and message of a run of which no more is known than this


class Keeping(Callback):
    """Calls `keep` at the end of an epoch, about once a minute, but not after the last one."""

    def __init__(self, keep: Callable[[], None]) -> None:
        self._keep = keep
        self._next = time.monotonic() + SECONDS_BETWEEN

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_last = trainer.should_stop or trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        begun = time.monotonic()
        if not is_last and begun >= self._next:
            with signals.deferred():
                self._keep()
            ended = time.monotonic()
            self._next = ended + SECONDS_BETWEEN * max(1.0, (ended - begun) / MOST_SECONDS)
