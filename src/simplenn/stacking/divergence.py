"""Which runs of a stack have diverged, when and by what: what `training.divergence` does for a single run.

Shapes: R runs, K steps of an epoch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simplenn.training import A_METRIC, A_WEIGHT, Diverged, loss_became

NOTHING, LOSS, WEIGHT, METRIC, BEFORE = range(5)


class Divergence:
    """Keeps for each of the runs what became non-finite first. Epochs count from 1, steps are the optimizer's.

    `before` has for each run the epoch in which it diverged and its message, where an earlier session saw that; 0 and
    no message for the others.
    """

    def __init__(self, num_runs: int, device: torch.device, before: Sequence[tuple[int, str]] = ()) -> None:
        # each [R], and meaningful where `_what` is not NOTHING
        self._what = torch.full((num_runs,), NOTHING, dtype=torch.int64, device=device)
        self._epoch = torch.zeros_like(self._what)
        self._step = torch.zeros_like(self._what)
        self._loss = torch.zeros(num_runs, dtype=torch.float64, device=device)
        self._before = list(before) or [(0, "")] * num_runs
        has_diverged = torch.tensor([epoch > 0 for epoch, _ in self._before], device=device)
        self._what[has_diverged] = BEFORE
        self._any = bool(has_diverged.any())

    def watch(
        self,
        epoch: int,
        steps_before: int,
        losses: Sequence[Tensor],
        weights: Sequence[Tensor],
        metrics: Mapping[str, Tensor],
    ) -> Tensor | None:
        """[R]: which runs have been finite up to the end of this epoch; `None` where all have.

        `losses` are those of the epoch's K steps, [R] each, of which `steps_before` have gone before; `weights`
        [R, ...] and `metrics` [R] are those at the epoch's end. As in a single run, a loss counts before a weight, and
        a weight before a metric.
        """
        if not self._any and _all_finite([*losses, *weights, *metrics.values()]):
            return None
        self._any = True
        stacked = torch.stack(list(losses))  # [K, R]
        bad_loss = ~stacked.isfinite()
        first_bad = bad_loss.int().argmax(0)
        bad_weight = ~torch.stack([weight.isfinite().unsqueeze(-1).flatten(1).all(1) for weight in weights]).all(0)
        bad_metric = ~torch.stack([metric.isfinite() for metric in metrics.values()]).all(0)
        what = torch.where(bad_loss.any(0), LOSS, torch.where(bad_weight, WEIGHT, METRIC * bad_metric))
        step = torch.where(what == LOSS, first_bad + 1, len(losses)) + steps_before
        loss = stacked.gather(0, first_bad[None])[0].to(self._loss.dtype)
        new = (self._what == NOTHING) & (what != NOTHING)
        self._step = torch.where(new, step, self._step)
        self._epoch = torch.where(new, epoch, self._epoch)
        self._loss = torch.where(new, loss, self._loss)
        self._what = torch.where(new, what, self._what)
        return self._what == NOTHING

    def epochs_and_messages(self) -> list[tuple[int, str]]:
        """For each run the epoch in which it diverged and its result's message; 0 and no message where it didn't."""
        columns = (self._what, self._epoch, self._step, self._loss)
        found = zip(self._before, *(column.tolist() for column in columns), strict=True)
        return [before if what == BEFORE else _epoch_and_message(what, *rest) for before, what, *rest in found]


def _epoch_and_message(what: int, epoch: int, step: int, loss: float) -> tuple[int, str]:
    if what == NOTHING:
        return 0, ""
    cause = {LOSS: loss_became(loss), WEIGHT: A_WEIGHT, METRIC: A_METRIC}[what]
    return epoch, str(Diverged(epoch, step, cause))


def _all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all numbers are finite, for certain: where one isn't, no sum over it is. (A sum that overflows only
    means that the numbers are looked at one by one.)"""
    return bool(torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).sum().isfinite())
