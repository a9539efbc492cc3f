"""Stacks prove themselves before they are believed: a few runs of a group train their first epochs one by one, by the
ordinary path of a run but without files, and then as a stack. Every epoch's metrics, the weights and the optimizer's
state are compared.

Shapes: R runs of the group.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig
from torch import Tensor

from simplenn import signals
from simplenn.groups.columns import Columns, config_of, num_runs_of, seeds_of
from simplenn.groups.outcome import Outcome
from simplenn.setup import build_run
from simplenn.stacking.agreement import NOT_AS_SINGLE, Difference, SingleRun, first_difference, is_exact, single_run
from simplenn.stacking.attributes import attributes_of
from simplenn.stacking.attributes import first_difference as first_different_attribute
from simplenn.stacking.engine import may_compile, must_compile, with_compiler
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.internals import is_random_under_vmap
from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.stackable import refuse_by_keys, refuse_by_parts, refuse_trainer, without_drawing
from simplenn.stacking.training import train_stack
from simplenn.training import (
    Diverged,
    DivergenceCheck,
    EpochBar,
    EpochLines,
    EpochSeed,
    Parts,
    Rows,
    Shares,
    callbacks_of,
    make_trainer,
    without_tips,
)

log = logging.getLogger(__name__)

MIN_EPOCHS, MIN_STEPS = 2, 4  # which a proof trains at least, if the configuration has as many
WITNESSES = 64  # runs, from all over a group, whose bits compiled code must have where torch's kernels have them


@dataclass(frozen=True)
class Proof:
    """What has been found out about a group."""

    # Why the runs must train one by one; `None` if they need not.
    reason: str | None
    # Whether stacks may be compiled; False, too, where nobody asked for it.
    compiles: bool = False
    # The initial weights of all runs, for the training; `None` if there is a reason.
    initial: InitialWeights | None = None


def prove(cfg: DictConfig, columns: Columns, name_of: Callable[[int], str] = str) -> Proof:
    """Whether the runs of a group can train as stacks; `name_of` gives a run's name by its number, for the reason.

    An error on the way is a reason, too: trained one by one, each run reports its own. Raises only `Interrupted`.
    """
    try:
        return _prove(cfg, columns, name_of)
    except NotStackable as error:
        return Proof(str(error))
    except Exception as error:
        signals.raise_if_received()
        if is_random_under_vmap(error):
            return Proof("the network draws random numbers")
        text = " ".join(str(error).split())
        return Proof(f"training them as a stack fails ({type(error).__name__}: {text:.160})")


def _prove(cfg: DictConfig, columns: Columns, name_of: Callable[[int], str]) -> Proof:
    num_runs = num_runs_of(columns)
    if num_runs == 1:
        raise NotStackable("no other run differs from it only in the seed and the optimizer's numbers")
    refuse_by_keys(cfg)
    runs = chosen(columns)
    regressor, data_of_seeds = refuse_by_parts(cfg, columns)
    initial = InitialWeights(cfg)
    initial(seeds_of(cfg, columns))
    num_steps = len(next(iter(data_of_seeds.values())).train_dataloader())
    trial = _Trial(_shortened(cfg, num_steps), columns, runs, initial, data_of_seeds)
    exact = is_exact(cfg, regressor.network)
    difference = trial.difference(exact=exact)
    if difference is not None:
        run, what = difference
        raise NotStackable(f"in a stack, {name_of(run)} {NOT_AS_SINGLE}: {what}")
    if not may_compile(cfg, num_runs * cfg.trainer.max_epochs * num_steps):
        return Proof(None, initial=initial)
    reason = _reason_not_compiled(trial, exact=not must_compile(cfg), num_witnesses=WITNESSES if exact else 0)
    if reason is not None:
        level = logging.INFO if must_compile(cfg) else logging.DEBUG
        log.log(level, "trainer.compile=%s is ignored: %s", str(cfg.trainer.compile).lower(), reason)
    return Proof(None, reason is None, initial)


def _reason_not_compiled(trial: "_Trial", *, exact: bool, num_witnesses: int) -> str | None:
    """Why stacks must not be compiled. What is compiled for it is then there for stacks of any size."""
    try:
        difference = trial.difference_of_compiled(exact=exact, num_witnesses=num_witnesses)
    except Exception as error:
        signals.raise_if_received()
        return " ".join(str(error).split())
    return None if difference is None else f"compiled, a run {NOT_AS_SINGLE}: {difference[1]}"


def chosen(columns: Columns) -> list[int]:
    """A few runs among which are the lowest and the highest value of each number, and two seeds if there are two."""
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
    while wanted:  # the run that has most of what is still wanted comes first
        best = max(range(len(having)), key=lambda run: len(having[run] & wanted))
        runs.append(best)
        wanted -= having[best]
    return runs or [0]


def _shortened(cfg: DictConfig, num_steps: int) -> DictConfig:
    """The configuration with the first few epochs only, of `num_steps` each.

    Each is followed by a validation, as a validation may change how training goes on.
    """
    short = deepcopy(cfg)
    epochs = max(MIN_EPOCHS, -(-MIN_STEPS // max(num_steps, 1)))
    short.trainer.max_epochs = min(cfg.trainer.max_epochs, epochs)
    if "check_val_every_n_epoch" in short.trainer:
        short.trainer.check_val_every_n_epoch = 1
    short.quiet = True
    return short


class _Trial:
    """The first epochs of some runs, each trained by itself, with which stacks of these runs are compared."""

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
        self._single = {run: _train_single(config_of(cfg, columns, run), data_of_seeds) for run in runs}

    def difference(self, *, exact: bool) -> tuple[int, Difference] | None:
        """Trains the runs as a stack; the first of them that differs from itself, trained singly, and where."""
        return self._difference_from(self._single, self._stacked(self.runs, compiled=False), exact)

    def difference_of_compiled(self, *, exact: bool, num_witnesses: int) -> tuple[int, Difference] | None:
        """The same of compiled code. Witnesses are more runs, held against a stack of torch's kernels."""
        runs, expected = list(self.runs), self._single
        if num_witnesses:
            num_runs = num_runs_of(self._columns)
            runs += range(0, num_runs, -(-num_runs // num_witnesses))
            by_kernels = self._stacked(runs, compiled=False).outcome
            expected = {run: single_run(by_kernels, place) for place, run in enumerate(runs)} | expected
        return self._difference_from(expected, self._stacked(runs, compiled=True), exact)

    def _stacked(self, runs: Sequence[int], *, compiled: bool) -> "_Stacked":
        columns = {key: [values[run] for run in runs] for key, values in self._columns.items()}
        outcome = train_stack(with_compiler(self._cfg, compiled), columns, initial=self._initial)
        return _Stacked(runs, self._initial(seeds_of(self._cfg, columns)), outcome)

    def _difference_from(
        self, expected: Mapping[int, SingleRun], stacked: "_Stacked", exact: bool
    ) -> tuple[int, Difference] | None:
        for place, run in enumerate(stacked.runs):
            initial = {name: weight[place] for name, weight in stacked.initial.items()}
            found = first_difference(stacked.outcome, place, expected[run], initial, exact=exact)
            if found is not None:
                return run, found
        return None


class _Stacked(NamedTuple):
    """Some runs of a group trained as a stack."""

    runs: Sequence[int]
    initial: Mapping[str, Tensor]  # [R, ...] by name
    outcome: Outcome


def _train_single(cfg: DictConfig, data_of_seeds: Mapping[int, LightningDataModule]) -> SingleRun:
    """Trains a run by the ordinary path, on the data of its seed, and looks at what only its training shows.

    Raises what the run raises, and `NotStackable`.
    """
    regressor, data = build_run(cfg, data_of_seeds.get(cfg.seed))
    before = deepcopy(regressor)
    rows = _RowsAndState()
    trainer = make_trainer(cfg.trainer, Path.cwd(), callbacks_of(cfg, rows))
    refuse_trainer(trainer, (EpochSeed, Shares, Parts, DivergenceCheck, EpochBar, EpochLines, _RowsAndState))
    status, message, diverged = "done", "", 0
    try:
        with without_tips(), without_drawing("the network", but_torch=True):
            trainer.fit(regressor, datamodule=data)
    except Diverged as error:
        status, message, diverged = "diverged", str(error), error.epoch
    regressor.parts.clear()  # which training fills and empties by itself: no change of the network
    weights = [*before.parameters(), *regressor.parameters()]
    changed = first_different_attribute(attributes_of(before), attributes_of(regressor), weights)
    if changed:
        raise NotStackable(f"{changed} changes while the network trains")
    return SingleRun(status, message, diverged or len(rows.rows), rows.rows, rows.weights, rows.optimizer)


class _RowsAndState(Rows):
    """Keeps in memory what a run writes: its rows, and the state after the last completed epoch."""

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
