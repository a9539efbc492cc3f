"""What the tests of stacks share."""

from typing import Any

import torch
from conftest import composed
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from simplenn.config.checking import check_config
from simplenn.signals import Interrupted
from simplenn.stacking import Outcome

Columns = dict[str, list]


def configured(*overrides: str, network: dict[str, Any] | None = None) -> DictConfig:
    cfg = composed("quiet=true", "trainer=cpu", *overrides)
    if network is not None:
        cfg.model, cfg.allow = network, ["networks"]
    return check_config(cfg)


def assert_same(one: Outcome, ones: list[int], other: Outcome, others: list[int]) -> None:
    """Some runs of one outcome and some of another are the same to the bit."""
    for i, j in zip(ones, others, strict=True):
        ends = [(o.status[r], o.message[r], o.epoch[r]) for o, r in ((one, i), (other, j))]
        assert ends[0] == ends[1]
    num_epochs = min(len(one.steps), len(other.steps))
    for name, curve in one.curves.items():
        assert torch.equal(
            curve[:num_epochs, ones].nan_to_num(-1), other.curves[name][:num_epochs, others].nan_to_num(-1)
        )
    for ours, theirs in ((one.last, other.last), (one.best, other.best)):
        assert torch.equal(ours.epoch[ones], theirs.epoch[others])
        assert all(torch.equal(ours.weights[name][ones], theirs.weights[name][others]) for name in ours.weights)
        for slot, state in ours.optimizer.items():
            assert all(torch.equal(state[name][ones], theirs.optimizer[slot][name][others]) for name in state)


class Signal(Callback):
    """A signal that arrives in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch + 1 == self.epoch and trainer.global_step % 8 == 5:
            raise Interrupted(15)
