"""Seconds of training 10,000 runs of Adam, as JSON, one number per repeat: a process of `benchmarks training`.

The ways: `bare` is compiled and warm, without Lightning's loop, without validation and without recording the best
weights; `eager` and `compiled` are the whole of `train_stack`, of which each process shows the first.

Shapes: R runs, S distinct seeds, K steps an epoch, N samples.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands have it, before torch is loaded

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from simplenn.config import check_config
from simplenn.data import TensorDataModule
from simplenn.metric import metrics_of_epoch
from simplenn.setup import build_run
from simplenn.stacking import train_stack
from simplenn.stacking.batches import StackBatches
from simplenn.stacking.compiled.epoch import CompiledEpoch, State
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.optimizer import hyperparameters
from simplenn.stacking.rules import UPDATE_RULES
from simplenn.stacking.steps import Steps

CONF = Path(__file__).resolve().parents[3] / "conf"
WORK = {"post": "experiment=post", "sum": "data=sum"}
NUM_RUNS, NUM_SEEDS = 10_000, 100
Columns = dict[str, list[Any]]


def configured(work: str, *, compiled: bool = False, epochs: int | None = None) -> DictConfig:
    overrides = [WORK[work], "optimizer=adam", "trainer=cpu"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = check_config(compose("train", [*overrides, *([f"trainer.max_epochs={epochs}"] if epochs else [])]))
    cfg.trainer.compile = compiled
    return cfg


def columns() -> Columns:
    """Of each seed NUM_RUNS / NUM_SEEDS runs, side by side; learning rates from 1e-4 to 1e-1."""
    return {
        "seed": [run * NUM_SEEDS // NUM_RUNS for run in range(NUM_RUNS)],
        "optimizer.lr": torch.logspace(-4, -1, NUM_RUNS, dtype=torch.float64).tolist(),
    }


def bare(cfg: DictConfig, columns: Columns, max_stack: int) -> Callable[[], None]:
    """A call that trains all runs, `max_stack` at a time, from weights and orders that are there already."""
    regressor, data = build_run(cfg)
    assert isinstance(data, TensorDataModule)
    data.setup("fit")
    assert data.train is not None
    x, y = data.train.tensors
    batch_size = data.batch_size or len(x)
    num_steps = -(-len(x) // batch_size)
    optimizer = regressor.configure_optimizers()
    initial = InitialWeights(cfg)
    stacks = []
    for start in range(0, NUM_RUNS, max_stack):
        own = {key: values[start : start + max_stack] for key, values in columns.items()}
        rule = UPDATE_RULES[type(optimizer)](hyperparameters(optimizer.defaults, own))
        batches = StackBatches(own["seed"], len(x), batch_size, shuffle=data.shuffle)
        orders = []
        for epoch in range(cfg.trainer.max_epochs):
            batches.set_epoch(epoch)
            orders.append(batches.orders())  # [S, N], [R]
        weights = {name: weight.movedim(0, -1) for name, weight in initial(own["seed"]).items()}
        stacks.append((CompiledEpoch(Steps(regressor), rule, batch_size, {}), rule, weights, orders))

    def train() -> None:
        for compiled, rule, weights, orders in stacks:
            own = {name: weight.clone(memory_format=torch.contiguous_format) for name, weight in weights.items()}
            slots = {slot: {name: torch.zeros_like(weight) for name, weight in own.items()} for slot in rule.slots}
            state = State(own, slots)
            for epoch, (order, place) in enumerate(orders):
                state, measured = compiled.train(state, x, y, order, place, 1 + epoch * num_steps)
                metrics_of_epoch({tag: mean.double() for tag, mean in measured.metrics.items()})
            assert all(bool(weight.isfinite().all()) for weight in state.weights.values())

    return train


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("work", choices=WORK)
    arguments.add_argument("way", choices=["bare", "eager", "compiled"])
    arguments.add_argument("--repeat", type=int, default=1, metavar="N", help="trainings to measure (1)")
    arguments.add_argument("--threads", type=int, metavar="N", help="torch's threads (by torch)")
    arguments.add_argument("--epochs", type=int, metavar="N", help="epochs of each training (by the configuration)")
    arguments.add_argument("--max-stack", type=int, default=NUM_RUNS, metavar="N", help="of `bare` (all runs)")
    return arguments


def main() -> None:
    arguments = parser().parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    runs = columns()
    cfg = configured(arguments.work, compiled=arguments.way == "compiled", epochs=arguments.epochs)
    if arguments.way == "bare":
        train = bare(cfg, runs, arguments.max_stack)
        train()  # compiles
    else:
        initial = InitialWeights(cfg)
        initial(runs["seed"])  # each is drawn once, as for a sweep's later stacks

        def train() -> object:
            return train_stack(cfg, runs, initial=initial)

    print(json.dumps([round(seconds(train), 4) for _ in range(arguments.repeat)]))


if __name__ == "__main__":
    main()
