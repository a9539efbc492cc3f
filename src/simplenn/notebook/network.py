"""A trained network that can be called: `load_run`.

Shapes: B batch, F features.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.evaluation import load_run as read_back
from simplenn.evaluation import predict
from simplenn.notebook.arguments import known_checkpoint, packages
from simplenn.regressor import Regressor
from simplenn.rundir import find_run


class TrainedNetwork(nn.Module):
    """A trained network, in evaluation mode: tensors give tensors, numbers give numbers.

        network([1, 2, 3])                 a row of F numbers -> a float; `network(1, 2, 3)` is the same
        network([[1, 2, 3], [4, 5, 6]])    rows, or an array or frame [B, F] -> an array [B]
        network(torch.ones(5, 3))          a tensor [B, F] -> a tensor [B, 1], with gradients unless torch.no_grad is on

    Numbers are computed as `scripts/predict.py` does, and what it refuses raises `ConfigError`. Tensors go through the
    `network`, the module that the configuration names, as they are.

    `name` says which run it is, `epoch` after how many epochs the weights were so, `config` how the run is configured.
    """

    def __init__(
        self, regressor: Regressor, data: L.LightningDataModule, *, name: str, epoch: int, cfg: DictConfig
    ) -> None:
        super().__init__()
        self.network = regressor.network
        self.name, self.epoch = name, epoch
        self.config: Any = OmegaConf.to_container(cfg, resolve=True)
        self._read_back = regressor, data  # in a tuple, as an attribute would list the network's weights once more
        self.eval()

    @property
    def data(self) -> L.LightningDataModule:
        """What it was trained on: `network.data.train.tensors` are the inputs [N, F] and the targets [N, 1]."""
        data = self._read_back[1]
        if isinstance(data, TensorDataModule):
            data.setup("fit")
        return data

    def forward(self, *x: Any) -> Any:
        """See the class. Raises `ConfigError` for what are not rows of numbers that the network takes."""
        if len(x) == 1 and isinstance(x[0], Tensor):
            return self.network(x[0])
        values = _as_numbers(x[0] if len(x) == 1 else x)
        if not values.size:
            return np.empty(0, np.float32)
        rows = values.reshape(1 if values.ndim < 2 else len(values), -1)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            wrong = int(finite.argmin())
            raise ConfigError(f"row {wrong + 1} must be finite numbers, got {rows[wrong].tolist()!s:.80}; leave it out")
        predictions = predict(*self._read_back, rows.tolist())[:, 0]
        return predictions.item() if values.ndim < 2 else predictions.numpy()

    def extra_repr(self) -> str:
        return f"{self.name}, epoch {self.epoch}"


def load_run(run: str | os.PathLike, checkpoint: str = "best", allow: Sequence[str] = ()) -> TrainedNetwork:
    """The trained network of the run in this directory, ready to call.

    `checkpoint` is `best` or `last`. `allow` names packages whose code the run may use beside torch's and simplenn's.
    Raises `ConfigError` where there is no run, where its checkpoint is missing or damaged, and where its configuration
    names code that isn't allowed.
    """
    found = find_run(Path(run))
    regressor, data, epoch = read_back(found, known_checkpoint(checkpoint), packages(allow))
    return TrainedNetwork(regressor, data, name=str(found.directory), epoch=epoch, cfg=found.config)


def _as_numbers(values: Any) -> np.ndarray:
    """As an array of doubles. Raises `ConfigError`."""
    try:
        with torch.no_grad():
            return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"a network takes rows of numbers of one length, got {values!r:.80}: {reason}") from None
