"""One run as a plain PyTorch loop, written out: the oracle. Of simplenn it takes the data's tensors alone.

Shapes: N samples, F features, B batch.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional

from simplenn.data import PostDataModule, SumDataModule

Row = dict[str, float]
State = dict[str, Tensor]  # weights by name, the optimizer's state as <slot>/<name>
Batch = tuple[Tensor, Tensor]
ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class Network(nn.Module):
    def __init__(self, num_features: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.layer1 = nn.Linear(num_features, hidden)
        self.layer2 = nn.Linear(hidden, 1)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.activation(self.layer1(x)))


@dataclass
class Left:
    """What a run leaves. Epochs count from 1; `epoch` of a run that diverged is the one in which it did.

    `last` is the state after the last completed epoch, `best` the one on which the best objective was measured, after
    `best_epoch` completed epochs; `None` where no epoch was completed. `states`, of a plain loop alone, has the initial
    state and that after each epoch.
    """

    status: str
    message: str
    epoch: int
    rows: list[Row]
    final: Row
    last: State
    best: State | None
    best_epoch: int | None
    best_values: Row
    states: list[State]


class Diverged(Exception):
    pass


def train(cfg: DictConfig, nudge: int | None = None) -> Left:
    """The run of a configuration; `nudge` begins it one rounding apart, each time another one."""
    torch.manual_seed(cfg.seed)
    network = Network(cfg.model.num_features, cfg.model.hidden, cfg.model.activation)
    if nudge is not None:
        _nudge(network, nudge)
    settings: Any = OmegaConf.to_container(cfg.optimizer)
    kind = getattr(torch.optim, settings.pop("_target_").rpartition(".")[2])
    return _Loop(cfg, network, kind(network.parameters(), **settings)).run()


class _Loop:
    def __init__(self, cfg: DictConfig, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.cfg, self.network, self.optimizer = cfg, network, optimizer
        self.train, self.val = _tensors(cfg)
        self.num_steps = 0
        self.rows: list[Row] = []
        self.states = [self.state()]

    def run(self) -> Left:
        status, message, epoch = "done", "", 0
        try:
            for epoch in range(1, self.cfg.trainer.max_epochs + 1):
                self.rows.append(self.epoch(epoch))
                self.states.append(self.state())
        except Diverged as error:
            status, message = "diverged", f"diverged: {error} in epoch {epoch}, step {self.num_steps}"
        final: Row = next((row for row in reversed(self.rows) if "val/loss" in row), {})
        final = {name: value for name, value in final.items() if name.startswith("val/")}
        final |= self.rows[-1] if self.rows else {}
        best, state = self.best()
        return Left(
            status,
            message,
            epoch,
            self.rows,
            {name: value for name, value in final.items() if name not in ("epoch", "step")},
            self.states[-1],
            None if state is None else self.states[state],
            state,
            {name: value for name, value in best.items() if name not in ("epoch", "step", "train/lr")},
            self.states,
        )

    def epoch(self, epoch: int) -> Row:
        cfg = self.cfg.trainer
        x, y = self.train
        batches = self.order(epoch).split(self.cfg.data.get("batch_size") or len(x))
        losses, sizes = [], []
        for number, batch in enumerate(batches, 1):
            measured = self.measure((x[batch], y[batch]))
            (measured["loss"] / cfg.accumulate_grad_batches).backward()
            if number % cfg.accumulate_grad_batches == 0 or number == len(batches):
                self.step()
            losses.append({name: value.item() for name, value in measured.items()})
            sizes.append(len(batch))
            if not math.isfinite(losses[-1]["loss"]):
                raise Diverged(f"the loss became {losses[-1]['loss']}")
        row = _row("train", {name: _mean([loss[name] for loss in losses], sizes) for name in losses[0]})
        if self.val is not None and epoch % cfg.check_val_every_n_epoch == 0:
            with torch.no_grad():
                row |= _row("val", {name: value.item() for name, value in self.measure(self.val).items()})
        if not all(weight.isfinite().all() for weight in self.network.parameters()):
            raise Diverged("a weight became non-finite")
        if not all(math.isfinite(value) for value in row.values()):
            raise Diverged("a metric became non-finite")
        return {"epoch": epoch, "step": self.num_steps, **row, "train/lr": self.cfg.optimizer.lr}

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch
        prediction = self.network(x)
        losses = {"loss": functional.mse_loss(prediction, y), "mae": functional.l1_loss(prediction, y)}
        return losses | {"target": y.double().mean(), "squared target": (y.double() ** 2).mean()}

    def order(self, epoch: int) -> Tensor:
        """[N]: the numbers of the samples."""
        num_samples = len(self.train[0])
        if self.cfg.data._target_.endswith("PostDataModule"):
            return torch.arange(num_samples)
        stream = np.random.SeedSequence([self.cfg.seed, epoch - 1]).generate_state(1, np.uint64)[0]
        return torch.randperm(num_samples, generator=torch.Generator().manual_seed(int(stream)))

    def step(self) -> None:
        limit = self.cfg.trainer.gradient_clip_val
        if limit and self.cfg.trainer.gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.network.parameters(), limit)
        elif limit:
            nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.num_steps += 1

    def state(self) -> State:
        names = [name for name, _ in self.network.named_parameters()]
        return flat(dict(self.network.named_parameters()), self.optimizer.state_dict()["state"], names)

    def best(self) -> tuple[Row, int | None]:
        """The best row, of equal ones the last, and the number of epochs after which its objective was measured."""
        validated = [row for row in self.rows if "val/loss" in row]
        tag, rows = ("val/loss", validated) if validated else ("train/loss", self.rows)
        if not rows:
            return {}, None
        best = min(reversed(rows), key=lambda row: row[tag])
        return best, int(best["epoch"]) - (not validated)


def flat(weights: State, optimizer: dict[int, State], names: list[str]) -> State:
    """A copy of the weights and of what an optimizer has under `state`, which goes by the weights' places."""
    state = {name: weights[name].detach() for name in names}
    for place, slots in optimizer.items():
        state |= {f"{slot}/{names[place]}": value for slot, value in slots.items() if value is not None}
    return copy.deepcopy(state)


def _tensors(cfg: DictConfig) -> tuple[Batch, Batch | None]:
    settings = {str(key): value for key, value in cfg.data.items() if key != "_target_"}
    data = (PostDataModule if cfg.data._target_.endswith("PostDataModule") else SumDataModule)(**settings)
    data.setup("fit")
    assert data.train is not None
    x, y = data.train.tensors
    return (x, y), None if data.val is None else (data.val.tensors[0], data.val.tensors[1])


def _row(split: str, means: Row) -> Row:
    """The metrics from the means over an epoch; R2 is undefined where the targets don't vary."""
    row = {f"{split}/{name}": means[name] for name in ("loss", "mae")}
    variance = means["squared target"] - means["target"] ** 2
    if variance > 1e-13 * means["squared target"]:
        row[f"{split}/r2"] = 1 - means["loss"] / variance
    return row


def _mean(values: list[float], sizes: list[int]) -> float:
    total = 0.0
    for value, size in zip(values, sizes, strict=True):
        total += value * size
    return total / sum(sizes)


@torch.no_grad()
def _nudge(network: nn.Module, number: int) -> None:
    """Each weight one rounding up or down."""
    generator = torch.Generator().manual_seed(number)
    for weight in network.parameters():
        up = torch.rand(weight.shape, generator=generator) < 0.5
        weight.copy_(torch.nextafter(weight, torch.where(up, torch.inf, -torch.inf)))
