"""Random sweeps, each held three ways: stacked, run by run, and as plain PyTorch loops: python tests/fuzz.py 200

A case is a number: `1 --first 17` is case 17 again. Where bit-for-bit equality is promised, all that a run leaves must
be the same in all three, and in a compiled stack. `--wide` draws networks for which a stack promises closeness alone;
the run alone must still equal the plain loop. A run of theirs that isn't close counts as chaotic where plain loops
begun one rounding apart stray as far.

Shapes: R runs.
"""

import argparse
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plain
from conftest import composed
from omegaconf import DictConfig
from plain import Left, State, flat

from simplenn.config.checking import check_config
from simplenn.groups.columns import config_of
from simplenn.groups.joining import join_outcomes
from simplenn.groups.metrics import best_values, final_values, metrics_per_epoch
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.run import Run
from simplenn.setup import build_run
from simplenn.stacking import Outcome, Proof, Snapshot, prove, train_in_stacks, with_compiler
from simplenn.stacking.agreement import ROUNDING, TOLERANCE, SingleRun, first_difference, is_exact
from simplenn.training.train import train

NUM_NUDGES = 8
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Case:
    """A sweep: what all of its runs have, and what each of them has of its own, R values by key."""

    overrides: list[str]
    columns: Columns
    max_stack: int | None


def draw(number: int, wide: bool = False) -> Case:
    rng = random.Random(number)
    num_runs = rng.randint(2, 6)
    overrides = [*_network(rng, wide), *_trainer(rng)]
    columns: Columns = {}
    for key, value in {"seed": lambda: _seed(rng), **_optimizer(rng, overrides)}.items():
        if rng.random() < (0.7 if key in ("seed", "optimizer.lr") else 0.4):
            columns[key] = [value() for _ in range(num_runs)]
        else:
            overrides.append(f"{key}={value()}")
    columns = columns or {"seed": [_seed(rng) for _ in range(num_runs)]}
    return Case(overrides, columns, rng.choice([None, None, 1, 2, 3]))


def _network(rng: random.Random, wide: bool) -> list[str]:
    """The network and the data."""
    narrow = [(h, f) for h in range(1, 5) for f in range(1, 5) if (h, f) != (4, 4)]
    hidden, num_features = rng.choice(narrow)
    activations = ["relu", "tanh"]
    if wide:
        more = rng.randint(5, 12)
        activations = ["relu", "tanh", "sigmoid"]
        hidden, num_features = rng.choice([(more, num_features), (hidden, more), (4, 4), (hidden, num_features)])
        if (hidden, num_features) in narrow:
            activations = ["sigmoid"]
    words = [
        f"model.hidden={hidden}",
        f"model.activation={rng.choice(activations)}",
        f"data.num_features={num_features}",
        f"data.seed={rng.randint(0, 9)}",
        "data.num_test=4",
    ]
    if rng.random() < 0.2:
        return ["data=post", *words]
    return [
        *words,
        f"data.num_train={rng.randint(1, 70)}",
        f"data.num_val={rng.choice([0, rng.randint(1, 20)])}",
        f"data.batch_size={rng.choice(['null', rng.randint(1, 32), rng.randint(1, 32)])}",
        f"data.noise={rng.choice([0.0, rng.uniform(0.0, 2.0)])}",
    ]


def _trainer(rng: random.Random) -> list[str]:
    words = [
        f"trainer.max_epochs={rng.randint(1, 6)}",
        f"trainer.check_val_every_n_epoch={rng.randint(1, 3)}",
        f"trainer.accumulate_grad_batches={rng.choice([1, 1, 1, 1, 1, 1, 2, 3])}",
    ]
    algorithm = rng.choice([None, None, "norm", "value"])
    if algorithm is not None:
        words += [f"trainer.gradient_clip_val={_log(rng, 1e-2, 1e2)}", f"trainer.gradient_clip_algorithm={algorithm}"]
    return words


def _optimizer(rng: random.Random, overrides: list[str]) -> dict[str, Callable[[], Any]]:
    """How to draw each of its numbers, by key; adds its name and its switches to the overrides."""
    name = rng.choice(["sgd", "adam", "adamw", "rmsprop", "adagrad"])
    switch = {"adam": "amsgrad", "adamw": "amsgrad", "rmsprop": "centered", "sgd": "nesterov"}.get(name)
    is_on = switch is not None and rng.random() < 0.4
    overrides += [f"optimizer={name}", *([f"optimizer.{switch}=true"] if is_on else [])]
    return {f"optimizer.{key}": draw for key, draw in numbers(rng, name, nesterov=is_on and name == "sgd").items()}


def numbers(rng: random.Random, optimizer: str, nesterov: bool = False) -> dict[str, Callable[[], Any]]:
    """How to draw each number of an optimizer, by its name in torch."""

    def or_zero(draw: Callable[[], float]) -> Callable[[], float]:
        return lambda: rng.choice([0.0, draw()])

    def fraction() -> float:
        return 1.0 - _log(rng, 1e-4, 1.0)

    drawn: dict[str, Callable[[], Any]] = {
        "lr": lambda: _log(rng, 1e-5, 1.0),
        "weight_decay": or_zero(lambda: _log(rng, 1e-6, 1.0)),
    }
    if optimizer == "sgd" and nesterov:  # torch wants a momentum then, and no dampening
        return drawn | {"momentum": lambda: rng.uniform(0.1, 0.99)}
    if optimizer == "sgd":
        return drawn | {"momentum": or_zero(fraction), "dampening": or_zero(rng.random)}
    drawn["eps"] = lambda: _log(rng, 1e-12, 1e-2)
    if optimizer in ("adam", "adamw"):
        return drawn | {"betas": lambda: [rng.choice([0.0, fraction()]), fraction()]}
    if optimizer == "rmsprop":
        return drawn | {"alpha": or_zero(fraction), "momentum": or_zero(fraction)}
    return drawn | {
        "lr_decay": or_zero(lambda: _log(rng, 1e-4, 1.0)),
        "initial_accumulator_value": or_zero(lambda: _log(rng, 1e-4, 1.0)),
    }


def _seed(rng: random.Random) -> int:
    return rng.choice([rng.randint(0, 5), 2**32 - 1 - rng.randint(0, 3), rng.randrange(2**32)])


def _log(rng: random.Random, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return low * (high / low) ** rng.random()


def hold(case: Case, wide: bool = False) -> tuple[list[str], Counter[str]]:
    """Trains the case three ways: what differs, a line each, and how many runs were of which kind."""
    first = [f"{key}={values[0]}" for key, values in case.columns.items()]  # as the plan composes a group
    cfg = check_config(composed("quiet=true", "trainer=cpu", *case.overrides, *first))
    runs = range(len(next(iter(case.columns.values()))))
    configs = [config_of(cfg, case.columns, run) for run in runs]
    loops, alone = [plain.train(one) for one in configs], [train_alone(one) for one in configs]
    found = [f"run {r}, alone and plain: {what}" for r in runs for what in differing(alone[r], loops[r])]
    kinds = Counter(run.status for run in alone)
    exact = is_exact(cfg, build_run(cfg)[0].network)
    if exact == wide:
        found.append(f"equality is {'' if exact else 'not '}promised")
    proof = prove(cfg, case.columns)
    if cfg.trainer.accumulate_grad_batches > 1:
        expected = f"trainer.accumulate_grad_batches={cfg.trainer.accumulate_grad_batches}"
        return found + ([] if proof.reason == expected else [f"the reason is {proof.reason}"]), kinds
    if proof.reason is not None and wide and "differs from the same run" in proof.reason:
        return found, kinds + Counter({"not proven": len(runs)})
    if proof.reason is not None:
        return [*found, f"not stacked: {proof.reason}"], kinds
    outcome, compiled = (_stacked(with_compiler(cfg, wanted), case, proof) for wanted in (False, exact))
    for r in runs:
        if exact:
            found += [f"run {r}, compiled: {what}" for what in differing(from_stack(compiled, r), alone[r])]
        kinds["stacked"] += 1
        if exact:
            found += [f"run {r}, stacked and alone: {what}" for what in differing(from_stack(outcome, r), alone[r])]
        elif (difference := _beyond(outcome, r, loops[r])) is not None:
            kinds["chaotic" if (is_chaotic := _is_chaotic(outcome, r, configs[r], loops[r])) else "apart"] += 1
            found += [] if is_chaotic else [f"run {r}, stacked and alone: {difference}"]
    return found, kinds


def _stacked(cfg: DictConfig, case: Case, proof: Proof) -> Outcome:
    stacks = train_in_stacks(cfg, case.columns, case.max_stack, initial=proof.initial)
    return join_outcomes([outcome for _, outcome in stacks if outcome is not None])


def train_alone(cfg: DictConfig) -> Left:
    """By the ordinary path, files included."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        result = train(cfg, run.directory)
        rows = read_rows(run.metrics_file)
        last = checkpoint.load(run.checkpoint("last"))
        best = checkpoint.load(run.checkpoint("best")) if run.checkpoint("best").exists() else None
    return Left(
        result.status,
        result.message,
        result.epoch,
        rows,
        result.metrics,
        _from_checkpoint(last),
        None if best is None else _from_checkpoint(best),
        None if best is None else checkpoint.epochs_completed(best),
        result.best,
        [],
    )


def from_stack(outcome: Outcome, run: int) -> Left:
    """One run of a stack, as the sweep's files have it."""
    names = metrics_per_epoch(outcome)
    rows = [
        {
            "epoch": epoch,
            "step": step,
            **{name: float(outcome.curves[name][epoch - 1, run]) for name in names[epoch - 1]},
        }
        for epoch, step in enumerate(outcome.steps, 1)
        if not outcome.curves["train/lr"][epoch - 1, run].isnan()
    ]
    best_epoch = int(outcome.best.epoch[run])
    return Left(
        outcome.status[run],
        outcome.message[run],
        outcome.epoch[run],
        rows,
        _row(final_values(outcome), run),
        _from_snapshot(outcome.last, run),
        _from_snapshot(outcome.best, run) if rows else None,
        best_epoch if rows else None,
        _row(best_values(outcome), run),
        [],
    )


def differing(one: Left, other: Left) -> list[str]:
    """What two runs have not bit for bit the same."""
    found = [
        f"{name}: {getattr(one, name)!r:.300} against {getattr(other, name)!r:.300}"
        for name in ("status", "message", "epoch", "final", "best_epoch", "best_values")
        if getattr(one, name) != getattr(other, name)
    ]
    if one.rows != other.rows:
        row, theirs = next(((a, b) for a, b in zip(one.rows, other.rows, strict=False) if a != b), ({}, {}))
        found.append(f"rows, {len(one.rows)} against {len(other.rows)}: {row} against {theirs}")
    for name, ours, theirs in (("last", one.last, other.last), ("best", one.best, other.best)):
        if (ours is None) != (theirs is None):
            found.append(f"{name}: {'none' if ours is None else 'some'} against {'none' if theirs is None else 'some'}")
        found += [f"{name}: {what}" for what in _differing_states(ours or {}, theirs or {})]
    return found


def apart(one: State, other: State, initial: State) -> float:
    """How far a weight is from the other at most, as a share of the way that training moved it."""
    shares = []
    for name in initial:
        if "/" not in name:
            start, way = initial[name].norm(), (other[name] - initial[name]).norm()
            shares.append(float((one[name] - other[name]).norm() / (way + ROUNDING / TOLERANCE * start)))
    return max(shares)


def _differing_states(one: State, other: State) -> list[str]:
    if set(one) != set(other):
        return [f"there are {sorted(one)} against {sorted(other)}"]
    return [
        f"{name} by {float((value - other[name]).abs().max())}"
        for name, value in one.items()
        if value.dtype != other[name].dtype or not value.equal(other[name])
    ]


def _beyond(outcome: Outcome, run: int, loop: Left) -> str | None:
    """Where a run of a stack isn't close to the run alone."""
    weights, initial = (
        {f"network.{name}": value for name, value in state.items() if "/" not in name}
        for state in (loop.last, loop.states[0])
    )
    single = SingleRun(loop.status, loop.message, loop.epoch, loop.rows, weights)
    difference = first_difference(outcome, run, single, initial, exact=False)
    return None if difference is None else str(difference)


def _is_chaotic(outcome: Outcome, run: int, cfg: DictConfig, loop: Left) -> bool:
    """Whether plain loops begun one rounding apart stray as far as the stack does, to an order of magnitude."""
    stack = from_stack(outcome, run)
    nudged = [plain.train(cfg, nudge) for nudge in range(NUM_NUDGES)]
    if (stack.status, stack.epoch) != (loop.status, loop.epoch):
        return any((other.status, other.epoch) != (loop.status, loop.epoch) for other in nudged)
    farthest = max(apart(other.last, loop.last, loop.states[0]) for other in nudged)
    return farthest > max(TOLERANCE, apart(stack.last, loop.last, loop.states[0])) / 10


def _from_checkpoint(state: dict[str, Any]) -> State:
    weights = {name.removeprefix("network."): weight for name, weight in state["state_dict"].items()}
    return flat(weights, state["optimizer_states"][0]["state"], list(weights))


def _from_snapshot(snapshot: Snapshot, run: int) -> State:
    state = {name.removeprefix("network."): weight[run] for name, weight in snapshot.weights.items()}
    for slot, by_name in snapshot.optimizer.items():
        if slot not in snapshot.absent or not snapshot.absent[slot][run]:
            state |= {f"{slot}/{name.removeprefix('network.')}": value[run] for name, value in by_name.items()}
    return state


def _row(values: dict[str, np.ndarray], run: int) -> dict[str, float]:
    return {name: float(value[run]) for name, value in values.items() if not np.isnan(value[run])}


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="how many cases")
    parser.add_argument("--first", type=int, default=0, help="the first case's number (0)")
    parser.add_argument("--wide", action="store_true", help="networks for which a stack promises closeness")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    kinds: Counter[str] = Counter()
    num_bad = 0
    for number in range(arguments.first, arguments.first + arguments.count):
        found, of_case = hold(draw(number, arguments.wide), arguments.wide)
        kinds += of_case
        num_bad += bool(found)
        for line in found or [_counted(of_case)]:
            print(f"case {number}: {line}", flush=True)
    print(f"{arguments.count} cases from {arguments.first}, {num_bad} with differences; runs: {_counted(kinds)}")
    sys.exit(1 if num_bad else 0)


if __name__ == "__main__":
    main()
