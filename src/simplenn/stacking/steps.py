"""The Regressor's own steps as functions of weights and a batch, for a stack to map over its runs.

Shapes: those of one run, as within `torch.func.vmap`: B batch, F features.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call

from simplenn.regressor import Batch, Regressor
from simplenn.stacking.reasons import NotStackable

Weights = Mapping[str, Tensor]


class Steps:
    """What `regressor` computes with given weights in place of its own, and what it logs while it does.

    The weights have the names of `Regressor.named_parameters`; its own are overwritten. It may only log means over an
    epoch, as that is what a stack computes of it. Raises `NotStackable`.
    """

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor
        self._method = _Method(regressor)
        self._trainer: Any = None
        self._stage = ""
        self._logged: dict[str, Tensor] = {}
        self._num_samples = 0
        vars(regressor).update(log=self._log, add_parts=self._add_parts)
        with torch.no_grad():
            for weight in regressor.parameters():
                # A step that reaches these weights past `functional_call`, by a reference that it has kept, would use
                # them for all runs. As NaN they spoil its result, and the proof notices.
                if weight.is_floating_point():
                    weight.fill_(torch.nan)

    def show_trainer(self, trainer: Any) -> Any:
        """From now on the regressor sees this in place of its Trainer; returns what it saw before."""
        before, self._trainer = self._trainer, trainer
        self.regressor.trainer = trainer
        return before

    def train(self, weights: Weights, batch: Batch, batch_idx: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar, and the metrics by tag."""
        result = self._call("training_step", "train", weights, batch, batch_idx)
        loss = result.get("loss") if isinstance(result, Mapping) else result
        if not isinstance(loss, Tensor):
            raise NotStackable(f"training_step returns {type(result).__name__} instead of a loss")
        return loss.reshape(()) if loss.numel() == 1 else loss, self._logged

    def validate(self, weights: Weights, batch: Batch, batch_idx: Any) -> dict[str, Tensor]:
        """The metrics by tag."""
        self._call("validation_step", "val", weights, batch, batch_idx)
        return self._logged

    def _call(self, method: str, stage: str, weights: Weights, batch: Batch, batch_idx: Any) -> Any:
        self._stage, self._logged, self._num_samples = stage, {}, len(batch[0])
        named = {f"regressor.{name}": weight for name, weight in weights.items()}
        with _without_hooks():
            return functional_call(self._method, named, (method, batch, batch_idx))

    def _log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        batch_size: int | None = None,
        **others: Any,
    ) -> None:
        """What the regressor calls as `self.log`: as Lightning's, with the same defaults, but it keeps the value."""
        each_step = self._stage == "train" if on_step is None else on_step
        each_epoch = self._stage == "val" if on_epoch is None else on_epoch
        is_mean = reduce_fx in ("mean", torch.mean) and batch_size in (None, self._num_samples)
        if each_step or not each_epoch or not is_mean or not name.startswith(f"{self._stage}/"):
            raise NotStackable(f"{name} is not logged as {self._stage}/..., a mean over the epoch's samples")
        tensor = value.detach() if isinstance(value, Tensor) else torch.tensor(float(value))
        # Lightning adds up in at least single precision.
        if not tensor.is_floating_point() or tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.to(torch.get_default_dtype())
        self._logged[name] = tensor.reshape(()).clone()

    def _add_parts(self, stage: str, parts: Mapping[str, Tensor], weight: int) -> None:
        """What the regressor calls as `self.add_parts`."""
        for name, mean in parts.items():
            self._log(f"{stage}/{name}", mean, on_step=False, on_epoch=True, batch_size=weight)


@contextmanager
def _without_hooks() -> Iterator[None]:
    """Within, `Tensor.register_hook` raises `NotStackable`: under `vmap`, torch drops hooks on gradients that a step
    registers, or calls them once for all runs."""
    name = "register_hook"
    before = getattr(Tensor, name)
    setattr(Tensor, name, _no_hooks)
    try:
        yield
    finally:
        setattr(Tensor, name, before)


def _no_hooks(*_: Any) -> NoReturn:
    raise NotStackable("a step registers hooks on gradients")


class _Method(nn.Module):
    """A module whose `forward` is any method of the regressor, as `functional_call` only calls `forward`."""

    def __init__(self, regressor: Regressor) -> None:
        super().__init__()
        self.regressor = regressor

    def forward(self, method: str, *arguments: Any) -> Any:
        return getattr(self.regressor, method)(*arguments)


class TrainerView:
    """The part of the Trainer that a Regressor may read in a stack: what is the same for all of its runs."""

    SHARED = ("current_epoch", "global_step", "max_epochs", "training", "validating", "num_training_batches")

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        if name in TrainerView.SHARED:
            return getattr(self._trainer, name)
        raise NotStackable(f"the Regressor reads trainer.{name}")
