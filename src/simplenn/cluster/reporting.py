"""What a unit in training tells the command, and how it learns that it is to end. Runs in a worker."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from simplenn.cluster.ending import Ending
from simplenn.training import SweepProgress


class EndOnRequest(Callback):
    """Raises `Interrupted` in a training whose command wants no more."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._ending.raise_if_ended()


class Reports(SweepProgress):
    """The progress of the unit's stacks, told by `tell(run-epochs done, text)`."""

    def __init__(self, num_runs: int, num_epochs: int, tell: Callable[..., None]) -> None:
        super().__init__("none")
        self._tell = tell
        self.expect(num_runs, num_runs * num_epochs)

    def _show(self, num_runs: int, epoch: int, num_epochs: int, losses: str) -> None:
        self._tell(done=self._done, num_runs=num_runs, epoch=epoch, num_epochs=num_epochs, losses=losses)
