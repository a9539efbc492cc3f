"""The sweep's table and arrays on disk, and run groups read back from them.

    results.csv              a row per run, in the order of Hydra's job numbers: see `results`
    curves.parquet           a row per run and epoch: see `curves`
    weights.safetensors      the final parameters, stacked: see `weights`
    checkpoints.safetensors  what else the checkpoints of stacked runs hold
    structures.json          what else their directories hold, and the SHA-256 of the three before; written last

Each file is complete or absent. Knows no training.

Shapes: R runs, T epochs.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simplenn.errors import ConfigError
from simplenn.groups import RunGroup
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.rundir import write_atomically
from simplenn.sweep.curves import read_curves, write_curves
from simplenn.sweep.results import RESULTS, write_results
from simplenn.sweep.weights import load, read_weights, save, write_weights

CURVES = "curves.parquet"
WEIGHTS = "weights.safetensors"
CHECKPOINTS = "checkpoints.safetensors"
STRUCTURES = "structures.json"
LISTS = ("subdirs", "overrides", "nums", "columns", "swept")  # of a group, kept as they are
OUTCOME_LISTS = ("status", "message", "epoch", "steps")


def write_store(sweep: Path, groups: Sequence[RunGroup]) -> None:
    """Writes the files for every run of the sweep. Those of runs that trained one by one are in directories of their
    own: of these only the tables have something."""
    (sweep / STRUCTURES).unlink(missing_ok=True)  # its checksums are those of the files before
    order = np.argsort([num for group in groups for num in group.nums], kind="stable")
    write_results(sweep / RESULTS, groups, order)
    write_curves(sweep / CURVES, groups, order)
    write_weights(sweep / WEIGHTS, groups, order)
    places = np.split(np.argsort(order), np.cumsum([len(group) for group in groups])[:-1])
    stacked = [(group, rows.tolist()) for group, rows in zip(groups, places, strict=True) if group.stacked]
    states = {f"{k}/{key}": state for k, (group, _) in enumerate(stacked) for key, state in _states(group).items()}
    save(sweep / CHECKPOINTS, states, {"num_structures": len(stacked)})
    digests = {name: _digest(sweep / name) for name in (CURVES, WEIGHTS, CHECKPOINTS)}
    content = {"structures": [_described(group, rows) for group, rows in stacked], "sha256": digests}
    write_atomically(sweep / STRUCTURES, json.dumps(content).encode())


def read_groups(sweep: Path, names: Sequence[str]) -> list[RunGroup]:
    """The runs of these names that trained in stacks. Raises `ConfigError` for a damaged file."""
    content = _read_structures(sweep)
    wanted = set(names)
    chosen = []
    for number, structure in enumerate(content["structures"]):
        runs = [run for run, name in enumerate(structure["names"]) if name in wanted]
        if runs:
            chosen.append((number, structure, runs))
    for name, digest in content["sha256"].items() if chosen else ():
        _check_file(sweep / name, digest)
    try:
        return [_read_group(sweep, number, structure, runs) for number, structure, runs in chosen]
    except (KeyError, IndexError, TypeError) as error:
        raise ConfigError(f"{sweep / STRUCTURES} is damaged: {type(error).__name__}: {error}") from error


def _described(group: RunGroup, rows: Sequence[int]) -> dict[str, Any]:
    """What JSON can hold; `rows` are the runs' in `results.csv`."""
    outcome = group.ended
    epochs = {*outcome.last.epoch.tolist(), *outcome.best.epoch.tolist()} & set(outcome.skeletons)
    return {
        "cfg": OmegaConf.to_yaml(group.cfg),
        "composed": OmegaConf.to_yaml(group.composed),
        "names": group.names,
        **{key: getattr(group, key) for key in LISTS},
        "rows": list(rows),
        "seconds": group.seconds,
        "finished": group.finished,
        "host": group.host,
        "versions": group.versions,
        "code": group.code,
        "outcome": {key: getattr(outcome, key) for key in OUTCOME_LISTS},
        "curves": list(outcome.curves),
        "slots": list(outcome.last.optimizer),
        "skeletons": {epoch: outcome.skeletons[epoch] for epoch in sorted(epochs)},
    }


def _states(group: RunGroup) -> dict[str, Tensor]:
    """The last and best snapshots, but for the last weights, which are in a file of their own."""
    states = {}
    for which in ("last", "best"):
        snapshot: Snapshot = getattr(group.ended, which)
        states[f"{which}/epoch"] = snapshot.epoch
        if which == "best":
            states |= {f"best/weights/{name}": tensor for name, tensor in snapshot.weights.items()}
        for slot, tensors in snapshot.optimizer.items():
            states |= {f"{which}/optimizer/{slot}/{name}": tensor for name, tensor in tensors.items()}
        states |= {f"{which}/absent/{slot}": mask for slot, mask in snapshot.absent.items()}
    return states


def _read_group(sweep: Path, number: int, structure: dict[str, Any], runs: list[int]) -> RunGroup:
    """The structure's group with these of its runs."""
    rows = torch.tensor(runs)
    prefix = f"{number}/"
    states = {
        name.removeprefix(prefix): tensor[rows]
        for name, tensor in load(sweep / CHECKPOINTS).items()
        if name.startswith(prefix)
    }
    lists = {key: _some(structure[key], runs) for key in LISTS}
    names = _some(structure["names"], runs)
    kept = structure["outcome"]
    curves = read_curves(sweep / CURVES, names, structure["curves"], len(kept["steps"]))
    last = read_weights(sweep / WEIGHTS, [structure["rows"][run] for run in runs])
    outcome = Outcome(
        status=_some(kept["status"], runs),
        message=_some(kept["message"], runs),
        epoch=_some(kept["epoch"], runs),
        steps=kept["steps"],
        curves={name: torch.from_numpy(curve) for name, curve in curves.items()},
        last=_snapshot(states, "last", last, structure["slots"]),
        best=_snapshot(states, "best", _below(states, "best/weights/"), structure["slots"]),
        skeletons={int(epoch): skeleton for epoch, skeleton in structure["skeletons"].items()},
        seconds=structure["seconds"] * len(runs),
    )
    composed, checked = (_configuration(structure[key]) for key in ("composed", "cfg"))
    shared = {key: structure[key] for key in ("finished", "host", "versions", "code")}
    return RunGroup(composed=composed, checked=checked, **lists, **shared, stacked=True, outcome=outcome)


def _configuration(text: str) -> DictConfig:
    found = OmegaConf.create(text)
    if not isinstance(found, DictConfig):
        raise TypeError(f"a configuration must be a group of keys, got {text!r:.60}")
    return found


def _snapshot(states: dict[str, Tensor], which: str, weights: dict[str, Tensor], slots: Sequence[str]) -> Snapshot:
    """The file doesn't keep the order of its tensors, and a checkpoint has its slots in an order."""
    return Snapshot(
        epoch=states[f"{which}/epoch"],
        weights=weights,
        optimizer={slot: _below(states, f"{which}/optimizer/{slot}/") for slot in slots},
        absent=_below(states, f"{which}/absent/"),
    )


def _below(states: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in states.items() if name.startswith(prefix)}


def _some(values: Any, runs: Sequence[int]) -> Any:
    """A list's items for these runs; of a dictionary of lists, each list's."""
    if isinstance(values, dict):
        return {key: _some(items, runs) for key, items in values.items()}
    return [values[run] for run in runs]


def _read_structures(sweep: Path) -> dict[str, Any]:
    path = sweep / STRUCTURES
    try:
        content = json.loads(path.read_text())
        for structure in content["structures"]:
            if any(Path(subdir).is_absolute() or ".." in Path(subdir).parts for subdir in structure["subdirs"]):
                raise ValueError("a run's directory must be in the sweep's")
        return {"structures": content["structures"], "sha256": content["sha256"]}
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; without it no run can be written out") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ConfigError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def _check_file(path: Path, digest: str) -> None:
    if not path.exists():
        raise ConfigError(f"{path} is missing; without it no run can be written out")
    if _digest(path) != digest:
        raise ConfigError(f"{path} is damaged: its checksum doesn't match")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
