"""A sweep whose runs trained alone under Hydra's own launcher, and the batches that stacks of them would give."""

from pathlib import Path
from typing import Any

import torch
from conftest import script
from omegaconf import DictConfig, OmegaConf

from simplenn.config.checking import check_config
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.groups.run_group import RunGroup
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import in_row_order, read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run


def train_alone(directory: Path, *overrides: str) -> list[Run]:
    """The runs of a sweep, by Hydra's basic launcher."""
    settings = ["-m", "hydra/launcher=basic", f"hydra.sweep.dir={directory}", "trainer=cpu", *overrides]
    done = script("train.py", *settings, cwd=directory.parent)
    assert done.returncode in (0, 1), done.stderr
    found = [Run(path.parent.parent) for path in directory.glob("runs/*/.hydra/config.yaml")]
    return sorted(found, key=lambda run: node(run).job.num)


def node(run: Run) -> Any:
    """The run's own `hydra` configuration."""
    return OmegaConf.load(run.directory / ".hydra" / "hydra.yaml").hydra


def result(run: Run) -> Result:
    found = run.result()
    assert found is not None
    return found


def group_of(runs: list[Run], varying: list[str], swept: list[str]) -> RunGroup:
    """The group of these runs, had they trained as a stack, read from what each left."""
    composed = OmegaConf.merge(runs[0].config, OmegaConf.load(runs[0].directory / ".hydra" / "hydra.yaml"))
    assert isinstance(composed, DictConfig)
    group = RunGroup(
        composed=composed,
        checked=check_config(runs[0].config),
        columns={key: [_plain(OmegaConf.select(run.config, key)) for run in runs] for key in varying},
        subdirs=[f"runs/{run.directory.name}" for run in runs],
        overrides=[run.overrides for run in runs],
        nums=[node(run).job.num for run in runs],
        swept={key: [dict(word.split("=", 1) for word in run.overrides)[key] for run in runs] for key in swept},
    )
    return group.trained(outcome_of(runs), stacked=True)


def outcome_of(runs: list[Run]) -> Outcome:
    results = [result(run) for run in runs]
    rows = [read_rows(run.metrics_file) for run in runs]
    longest = max(rows, key=len)
    curves = {}
    for name in in_row_order({key for row in longest for key in row} - {"epoch", "step"}):
        columns = [[row.get(name, torch.nan) for row in own] + [torch.nan] * (len(longest) - len(own)) for own in rows]
        curves[name] = torch.tensor(columns, dtype=torch.float64).T
    last = [checkpoint.load(run.checkpoint("last")) for run in runs]
    best = [checkpoint.load(path) if (path := run.checkpoint("best")).exists() else None for run in runs]
    return Outcome(
        status=[r.status for r in results],
        message=[r.message for r in results],
        epoch=[r.epoch for r in results],
        steps=[int(row["step"]) for row in longest],
        curves=curves,
        last=_snapshot(last, [checkpoint.epochs_completed(state) for state in last], last),
        best=_snapshot(
            [own or other for own, other in zip(best, last, strict=True)],
            [checkpoint.epochs_completed(state) if state else -1 for state in best],
            last,
        ),
        skeletons={
            checkpoint.epochs_completed(state): {**state, "state_dict": {}, "optimizer_states": []}
            for state in [*last, *best]
            if state
        },
        seconds=sum(r.seconds for r in results),
    )


def _snapshot(states: list[dict[str, Any]], epochs: list[int], oracle: list[dict[str, Any]]) -> Snapshot:
    weights = {name: torch.stack([state["state_dict"][name] for state in states]) for name in states[0]["state_dict"]}
    optimizers = [state["optimizer_states"][0]["state"] for state in states]
    known = [state["optimizer_states"][0]["state"] for state in oracle]
    slots = list(dict.fromkeys(slot for own in [*known, *optimizers] for slot in own.get(0, {})))
    shapes = {slot: next(own for own in [*known, *optimizers] if slot in own.get(0, {})) for slot in slots}
    return Snapshot(
        epoch=torch.tensor(epochs),
        weights=weights,
        optimizer={
            slot: {
                name: torch.stack(
                    [own[k][slot] if slot in own.get(k, {}) else 0 * shapes[slot][k][slot] for own in optimizers]
                )
                for k, name in enumerate(weights)
            }
            for slot in slots
        },
        absent={slot: torch.tensor([slot not in own.get(0, {}) for own in optimizers]) for slot in slots},
    )


def _plain(value: Any) -> Any:
    return list(value) if OmegaConf.is_list(value) else value
