"""What a run draws while it trains, as for dropout: by seed and epoch alone, so that a resumed run draws the same."""

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class EpochSeed(Callback):
    """Sets the global random state at each epoch's start."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        state = np.random.SeedSequence([self._seed, trainer.current_epoch]).generate_state(1)
        torch.manual_seed(int(state[0]))
