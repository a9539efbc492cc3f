"""What is explained: a trained network, its initial weights, and the samples that it was trained on.

Shapes: N samples, F features.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from simplenn.config import check_config
from simplenn.data import SumDataModule, TensorDataModule
from simplenn.errors import ConfigError
from simplenn.evaluation import load_run
from simplenn.network import SimpleNN
from simplenn.regressor import Regressor
from simplenn.rundir import Run
from simplenn.setup import build_run

Samples = tuple[Tensor, Tensor]  # inputs [N, ...] and targets [N, 1]


@dataclass
class Subject:
    """`sets` are the samples by name: `training`, `validation`, `test`, `extrapolation`, as far as the data have them;
    none where the data aren't tensors."""

    cfg: DictConfig
    regressor: Regressor  # with the trained weights, in evaluation mode
    initial: dict[str, Tensor]  # the weights that its seed gives
    epoch: int
    sets: dict[str, Samples]
    is_sum: bool  # whether the target is the sum of the inputs

    @property
    def network(self) -> nn.Module:
        return self.regressor.network

    @property
    def simple(self) -> SimpleNN | None:
        """The network, where it is the tutorial's."""
        return self.network if type(self.network) is SimpleNN else None

    @property
    def inputs(self) -> Tensor | None:
        """[N, ...], of the training samples."""
        return self.sets["training"][0] if "training" in self.sets else None

    def predict(self, x: Tensor) -> Tensor:
        """[N, F] -> [N] in single precision."""
        return self.regressor.predict(x)[:, 0]


def subject_of(run: Run, which: str, allow: Sequence[str]) -> Subject:
    """Raises `ConfigError` as `evaluation.load_run` does."""
    regressor, data, epoch = load_run(run, which, allow)
    cfg = check_config(run.config)
    cfg.allow = list(allow)
    initial = deepcopy(build_run(cfg, data).regressor.state_dict())
    sets: dict[str, Samples] = {}
    if isinstance(data, TensorDataModule):
        try:
            data.setup("fit")
            data.setup("test")
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"data of {run.directory} cannot be set up as configured: {reason}") from error
        named = {"training": data.train, "validation": data.val, "test": data.test, "extrapolation": data.extrapolation}
        sets = {name: (own.tensors[0], own.tensors[1]) for name, own in named.items() if own is not None and len(own)}
    trained = regressor.state_dict()
    initial = {name: tensor.to(trained[name]) for name, tensor in initial.items() if name in trained}
    return Subject(cfg, regressor, initial, epoch, sets, isinstance(data, SumDataModule))


def as_input(subject: Subject, x: Tensor) -> Tensor:
    """On the device and in the precision of the weights."""
    weight = next(subject.network.parameters(), None)
    return x if weight is None or not torch.is_floating_point(x) else x.to(weight)
