"""Which runs of a stack have diverged, when and by what: as `divergence.Diverged` says it of a run alone.

Shapes: R runs, K steps of an epoch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

LOSS, WEIGHT, METRIC = 1, 2, 3


class Divergence:
    """What became non-finite first, [R] each: 0 where nothing has. Epochs count from 1, steps are the optimizer's."""

    def __init__(self, num_runs: int, device: torch.device) -> None:
        self._what = torch.zeros(num_runs, dtype=torch.int64, device=device)
        self._epoch = torch.zeros_like(self._what)
        self._step = torch.zeros_like(self._what)
        self._loss = torch.zeros(num_runs, dtype=torch.float64, device=device)
        self._any = False

    def watch(
        self,
        epoch: int,
        steps_before: int,
        losses: Sequence[Tensor],
        weights: Sequence[Tensor],
        metrics: Mapping[str, Tensor],
    ) -> Tensor | None:
        """[R]: the runs that are finite to the end of this epoch, from the losses [R] of its steps; `None`: all."""
        if not self._any and _all_finite([*losses, *weights, *metrics.values()]):
            return None
        self._any = True
        bad = ~torch.stack(list(losses)).isfinite()
        first = bad.int().argmax(0)
        value = torch.stack(list(losses)).gather(0, first[None])[0].to(self._loss.dtype)
        bad_weight = ~torch.stack([weight.isfinite().unsqueeze(-1).flatten(1).all(1) for weight in weights]).all(0)
        bad_metric = ~torch.stack([metric.isfinite() for metric in metrics.values()]).all(0)
        what = torch.where(bad.any(0), LOSS, torch.where(bad_weight, WEIGHT, METRIC * bad_metric))
        step = torch.where(what == LOSS, first + 1, len(losses)) + steps_before
        new = (self._what == 0) & (what != 0)
        self._step = torch.where(new, step, self._step)
        self._epoch = torch.where(new, epoch, self._epoch)
        self._loss = torch.where(new, value, self._loss)
        self._what = torch.where(new, what, self._what)
        return self._what == 0

    def epochs_and_messages(self) -> list[tuple[int, str]]:
        """For each run the epoch in which it diverged, 0 where it didn't, and the message of its result."""
        columns = (self._what, self._epoch, self._step, self._loss)
        return [_told(*run) for run in zip(*(column.tolist() for column in columns), strict=True)]


def _told(what: int, epoch: int, step: int, loss: float) -> tuple[int, str]:
    if not what:
        return 0, ""
    name = {LOSS: f"the loss became {loss}", WEIGHT: "a weight became non-finite"}.get(what)
    return epoch, f"diverged: {name or 'a metric became non-finite'} in epoch {epoch}, step {step}"


def _all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether surely all are: a sum is not finite where a summand isn't."""
    return bool(torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).sum().isfinite())
