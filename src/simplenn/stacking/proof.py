"""A stack proves itself before it is believed: a few runs of a group train their first epochs alone and as a stack.

Alone means by the ordinary path of a run, without files. What each run then has is compared: every epoch's metrics, the
weights, the optimizer's state.

Shapes: R runs of the group.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig
from torch import Tensor

from simplenn import signals
from simplenn.setup import build_run
from simplenn.stacking.agreement import Alone, Difference, first_difference, is_exact
from simplenn.stacking.attributes import attributes_of
from simplenn.stacking.attributes import first_difference as first_attribute_difference
from simplenn.stacking.engine import wants_compiler, with_compiler
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.memory import default_max_stack
from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.stackable import refuse_by_keys, refuse_by_parts, refuse_trainer, without_drawing
from simplenn.stacking.training import Columns, config_of, num_runs_of, train_stack
from simplenn.training.divergence import Diverged, DivergenceCheck
from simplenn.training.progress import EpochBar, EpochLines
from simplenn.training.randomness import EpochSeed
from simplenn.training.rows import Rows
from simplenn.training.shares import Shares
from simplenn.training.train import callbacks_of
from simplenn.training.trainer import make_trainer, without_tips

log = logging.getLogger(__name__)

MIN_EPOCHS, MIN_STEPS = 2, 4  # that a proof trains, at least


@dataclass(frozen=True)
class Proof:
    """`reason` says why the group must train run by run, `None` if it need not. Then `compiles` says whether stacks may
    be compiled, as far as that was asked for, and `initial` are the initial weights of all runs."""

    reason: str | None
    compiles: bool = False
    initial: InitialWeights | None = None


def prove(
    cfg: DictConfig, columns: Columns, name_of: Callable[[int], str] = str, max_stack: int | None = None
) -> Proof:
    """Whether the runs of a group can train as stacks; `name_of` tells a run's name by its number, for the reason.

    What goes wrong on the way is a reason too: run by run, each reports its own error. Raises only `Interrupted`.
    """
    try:
        return _prove(cfg, columns, name_of, max_stack)
    except NotStackable as error:
        return Proof(str(error))
    except Exception as error:
        signals.raise_if_received()
        text = " ".join(str(error).split())
        if "called random operation" in text:  # torch's own words
            return Proof("the network draws random numbers")
        return Proof(f"it can't be tried as a stack ({type(error).__name__}: {text:.160})")


def _prove(cfg: DictConfig, columns: Columns, name_of: Callable[[int], str], max_stack: int | None) -> Proof:
    num_runs = num_runs_of(columns)
    if num_runs == 1:
        raise NotStackable("there is no other run that differs in numbers alone")
    refuse_by_keys(cfg)
    runs = chosen(columns)
    seeds = [int(seed) for seed in columns.get("seed", [cfg.seed] * num_runs)]
    regressor, data_of_seeds = refuse_by_parts(cfg, columns)
    initial = InitialWeights(cfg)
    initial(seeds)
    num_steps = len(next(iter(data_of_seeds.values())).train_dataloader())
    trial = _Trial(_shortened(cfg, num_steps), columns, runs, initial, data_of_seeds)
    difference = trial.difference(runs, compiled=False, exact=is_exact(cfg, regressor.network))
    if difference is not None:
        raise NotStackable(f"in a stack {name_of(difference[0])} is not as alone: {difference[1]}")
    if not wants_compiler(cfg):
        return Proof(None, initial=initial)
    reason = _not_compiled(trial, min(num_runs, max_stack or default_max_stack(cfg, columns)))
    if reason is not None:
        log.info("trainer.compile=true is ignored: %s", reason)
    return Proof(None, reason is None, initial)


def _not_compiled(trial: "_Trial", size: int) -> str | None:
    """Why the compiler isn't used, tried on a stack of the group's own size, so that nothing is compiled twice."""
    try:
        difference = trial.difference([trial.runs[place % len(trial.runs)] for place in range(size)], compiled=True)
    except Exception as error:
        signals.raise_if_received()
        return " ".join(str(error).split())
    return None if difference is None else f"compiled, a run is not as alone: {difference[1]}"


def chosen(columns: Columns) -> list[int]:
    """Few runs that have the lowest and the highest value of each number among them, and two seeds if there are two."""
    wanted: set[tuple[str, str]] = set()
    for key, values in columns.items():
        distinct = list(dict.fromkeys(map(repr, values)))
        extremes = distinct[:2] if key == "seed" else [repr(min(values)), repr(max(values))]
        wanted |= {(key, value) for value in extremes}
    having: list[set[tuple[str, str]]] = [set() for _ in range(num_runs_of(columns))]
    for key, values in columns.items():
        for run, value in enumerate(map(repr, values)):
            if (key, value) in wanted:
                having[run].add((key, value))
    runs: list[int] = []
    while wanted:
        best = max(range(len(having)), key=lambda run: len(having[run] & wanted))
        runs.append(best)
        wanted -= having[best]
    return runs or [0]


def _shortened(cfg: DictConfig, num_steps: int) -> DictConfig:
    """The first epochs, of `num_steps` each, with a validation after each: training goes on after one, too."""
    short = deepcopy(cfg)
    epochs = max(MIN_EPOCHS, -(-MIN_STEPS // max(num_steps, 1)))
    short.trainer.max_epochs = min(cfg.trainer.max_epochs, epochs)
    if "check_val_every_n_epoch" in short.trainer:
        short.trainer.check_val_every_n_epoch = 1
    short.quiet = True
    return short


class _Trial:
    """The runs' first epochs alone, to hold stacks against."""

    def __init__(
        self,
        cfg: DictConfig,
        columns: Columns,
        runs: Sequence[int],
        initial: InitialWeights,
        data_of_seeds: Mapping[int, LightningDataModule],
    ) -> None:
        self.runs = runs
        self._cfg = cfg
        self._columns = columns
        self._initial = initial
        configs = {run: config_of(cfg, columns, run) for run in runs}
        self._alone = {run: _train_alone(own, data_of_seeds.get(own.seed)) for run, own in configs.items()}

    def difference(self, runs: Sequence[int], *, compiled: bool, exact: bool = False) -> tuple[int, Difference] | None:
        """The first run of a stack of these that isn't as alone, and where."""
        columns = {key: [values[run] for run in runs] for key, values in self._columns.items()}
        outcome = train_stack(with_compiler(self._cfg, compiled), columns, initial=self._initial)
        for place, run in enumerate(runs[: len(self.runs)]):
            start = self._initial([int(columns["seed"][place]) if "seed" in columns else self._cfg.seed])
            initial = {name: weight[0] for name, weight in start.items()}
            found = first_difference(outcome, place, self._alone[run], initial, exact=exact)
            if found is not None:
                return run, found
        return None


def _train_alone(cfg: DictConfig, data: LightningDataModule | None = None) -> Alone:
    """By the ordinary path, on data of its seed.

    Raises what the run raises, and `NotStackable` for what only its training shows.
    """
    regressor, data = build_run(cfg, data)
    before = deepcopy(regressor)
    memory = _Memory()
    trainer = make_trainer(cfg.trainer, Path.cwd(), callbacks_of(cfg, memory))
    refuse_trainer(trainer, (EpochSeed, Shares, DivergenceCheck, EpochBar, EpochLines, _Memory))
    status, message, diverged = "done", "", 0
    try:
        with without_tips(), without_drawing("the network", but_torch=True):
            trainer.fit(regressor, datamodule=data)
    except Diverged as error:
        status, message, diverged = "diverged", str(error), error.epoch
    changed = first_attribute_difference(
        attributes_of(before), attributes_of(regressor), [*before.parameters(), *regressor.parameters()]
    )
    if changed:
        raise NotStackable(f"{changed} changes while the network trains")
    return Alone(status, message, diverged or len(memory.rows), memory.rows, memory.weights, memory.optimizer)


class _Memory(Rows):
    """Keeps the last completed epoch, as a run's `last` checkpoint does."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self._keep(trainer, pl_module)

    def _keep(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.weights = {name: weight.detach().cpu().clone() for name, weight in pl_module.named_parameters()}
        state = trainer.optimizers[0].state_dict()["state"]
        self.optimizer: dict[str, dict[str, Tensor]] = {}
        for place, name in enumerate(self.weights):
            for slot, value in state.get(place, {}).items():
                if value is not None:
                    self.optimizer.setdefault(slot, {})[name] = torch.as_tensor(value).cpu().clone()
