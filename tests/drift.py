"""How far runs of a stack stray from the same runs alone: python tests/drift.py

For each optimizer, runs with random seeds and learning rates from 1e-4 to 1e-1 (and random momenta where it has one)
train as one stack and as plain loops, which `fuzz` shows to equal the runs alone bit for bit. A row tells the share of
runs whose final weights are apart by more than 1 part in 1,000 of the way that training moved them, the median over all
runs, and the median over the strayed ones by epoch. `nudged` is the same for plain loops begun one rounding apart: what
of it is chaos, which no arithmetic but the very same escapes.

Shapes: R runs, T epochs.
"""

import argparse
import logging
import random
from collections.abc import Sequence
from statistics import median
from typing import Any

import plain
from conftest import composed
from fuzz import Columns, apart, from_stack, numbers
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from plain import Left, State

from simplenn.config.checking import check_config
from simplenn.groups.columns import config_of
from simplenn.stacking import train_stack
from simplenn.stacking.agreement import TOLERANCE
from simplenn.stacking.stack import Stack

DATA = {"sum": ["data=sum"], "post": ["experiment=post"]}
OPTIMIZERS = ("sgd", "sgd with momentum", "adam", "adamw", "rmsprop", "adagrad")
HIDDEN = (4, 5, 16)
EPOCHS = (1, 2, 5, 10, 20, 40, 100)


class States(Callback):
    """The weights of every run after each epoch: [T] of R states."""

    def __init__(self) -> None:
        self.epochs: list[list[State]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        weights, _ = pl_module.by_name(pl_module.state())
        by_run = zip(*(weight.detach().clone().unbind() for weight in weights.values()), strict=True)
        names = [name.removeprefix("network.") for name in weights]
        self.epochs.append([dict(zip(names, run, strict=True)) for run in by_run])


def columns_of(optimizer: str, num_runs: int, all_numbers: bool) -> Columns:
    rng = random.Random(optimizer)
    drawn = numbers(rng, optimizer.partition(" ")[0]) if all_numbers else {}
    drawn = {name: draw for name, draw in drawn.items() if name != "momentum" or optimizer == "rmsprop"}
    if "momentum" in optimizer:
        drawn["momentum"] = lambda: rng.uniform(0.5, 0.99)
    drawn["lr"] = lambda: 1e-4 * 1e3 ** rng.random()
    columns = {f"optimizer.{name}": [draw() for _ in range(num_runs)] for name, draw in drawn.items()}
    return {"seed": rng.sample(range(2**32), num_runs), **columns}


def by_epoch(states: Sequence[State], loop: Left) -> list[float]:
    """How far a run's states, from the first epoch on, are from a plain loop's, for each epoch that both completed."""
    pairs = zip(states, loop.states[1:], strict=False)
    return [apart(one, other, loop.states[0]) for one, other in pairs]


def stray(cfg: DictConfig, columns: Columns, loops: Sequence[Left]) -> list[list[float]]:
    """[R] by epoch; infinite at the end where a run ends otherwise than alone."""
    states = States()
    outcome = train_stack(cfg, columns, [states])
    found = []
    for run, loop in enumerate(loops):
        ours = from_stack(outcome, run)
        same_end = (ours.status, ours.epoch) == (loop.status, loop.epoch)
        shares = by_epoch([epoch[run] for epoch in states.epochs], loop)
        found.append(shares if same_end else [*shares, float("inf")])
    return found


def told(name: str, runs: Sequence[Sequence[float]]) -> str:
    finals = [run[-1] if run else 0.0 for run in runs]
    strayed = [run for run, final in zip(runs, finals, strict=True) if not final <= TOLERANCE]
    growth = {epoch: [run[epoch - 1] for run in strayed if len(run) >= epoch] for epoch in EPOCHS}
    steps = ", ".join(f"{epoch}: {median(values):.0e}" for epoch, values in growth.items() if values)
    share = 100 * len(strayed) / len(runs)
    growth_told = f"; strayed by epoch {steps}" if steps else ""
    return f"  {name:20} {share:5.1f} % of {len(runs)}, median {median(finals):.0e}{growth_told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, action="append", help="which data (both)")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append", help="which optimizers (all)")
    parser.add_argument("--runs", type=int, default=100, help="runs a stack (100)")
    parser.add_argument("--all-numbers", action="store_true", help="draw the optimizer's other numbers, too")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled stacks")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    for data in arguments.data or DATA:
        for optimizer in arguments.optimizer or OPTIMIZERS:
            print(f"data={data}, {optimizer}", flush=True)
            columns = columns_of(optimizer, arguments.runs, arguments.all_numbers)
            for hidden in HIDDEN:
                _compare([*DATA[data], f"optimizer={optimizer.partition(' ')[0]}"], hidden, columns, arguments)


def _compare(overrides: list[str], hidden: int, columns: Columns, arguments: Any) -> None:
    cfg = check_config(composed("quiet=true", "trainer=cpu", f"model.hidden={hidden}", *overrides))
    configs = [config_of(cfg, columns, run) for run in range(arguments.runs)]
    loops = [plain.train(one) for one in configs]
    print(told(f"hidden={hidden}", stray(cfg, columns, loops)), flush=True)
    if hidden == HIDDEN[0] and not arguments.no_compile:
        cfg.trainer.compile = True
        print(told(f"hidden={hidden}, compiled", stray(cfg, columns, loops)), flush=True)
    nudged = []
    for one, loop in zip(configs, loops, strict=True):
        other = plain.train(one, nudge=0)
        shares = by_epoch(other.states[1:], loop)
        nudged.append(shares if (other.status, other.epoch) == (loop.status, loop.epoch) else [*shares, float("inf")])
    print(told(f"hidden={hidden}, nudged", nudged), flush=True)


if __name__ == "__main__":
    main()
