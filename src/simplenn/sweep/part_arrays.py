"""The tensors of a part, what else its structure holds, and run groups read back from it.

Shapes: R runs, T epochs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from simplenn.config import parse_config
from simplenn.groups import RunGroup
from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.metric import current_name
from simplenn.sweep.part_tables import column_of, read_curves
from simplenn.sweep.part_values import overrides_of

SHARED = ("finished", "host", "versions", "code")  # of a group, kept as they are


def write(group: RunGroup, weights: Path, checkpoints: Path) -> None:
    """Raises what safetensors or the system raise."""
    _save(weights, group.ended.last.weights)
    _save(checkpoints, _states(group))


def described(group: RunGroup) -> dict[str, Any]:
    """What the arrays leave to the part's structure."""
    outcome = group.ended
    epochs = {*outcome.last.epoch.tolist(), *outcome.best.epoch.tolist(), len(outcome.steps)} & set(outcome.skeletons)
    return {
        "cfg": OmegaConf.to_yaml(group.cfg),
        "composed": OmegaConf.to_yaml(group.composed),
        **{key: getattr(group, key) for key in SHARED},
        "seconds": group.seconds,
        "steps": list(outcome.steps),
        "slots": list(outcome.last.optimizer),
        "skeletons": {str(epoch): outcome.skeletons[epoch] for epoch in sorted(epochs)},
    }


def read_group(
    folder: Path, structure: Mapping[str, Any], table: polars.DataFrame, runs: Sequence[int] | None
) -> RunGroup:
    """The group of the runs in these rows, or of all, as they ended."""
    num_rows = table["num_rows"].to_numpy()
    rows = list(range(len(table))) if runs is None else list(runs)
    own = table if runs is None else table[rows]
    curves = read_curves(folder / "curves.parquet", num_rows, rows, structure["curves"], len(structure["steps"]))
    weights = _load(folder / "weights.safetensors", rows)
    states = _load(folder / "checkpoints.safetensors", rows)
    outcome = Outcome(
        status=own["status"].to_list(),
        message=own["message"].to_list(),
        epoch=own["epoch"].to_list(),
        steps=list(structure["steps"]),
        curves={current_name(name): torch.from_numpy(curve) for name, curve in curves.items()},
        last=_snapshot(states, "last", weights, structure["slots"]),
        best=_snapshot(states, "best", _below(states, "best/weights/"), structure["slots"]),
        skeletons={int(epoch): skeleton for epoch, skeleton in structure["skeletons"].items()},
        seconds=structure["seconds"] * len(rows),
    )
    group = RunGroup(
        composed=_configuration(structure["composed"]),
        checked=parse_config(structure["cfg"], folder / "structure.json"),
        nums=own["num"].to_list(),
        overrides=overrides_of(structure["overrides"], own),
        columns={key: column_of(key, kind, own) for key, kind in structure["columns"].items()},
        subdirs=own["subdir"].to_list(),
        **{key: structure[key] for key in SHARED},
        stacked=True,
        outcome=outcome,
    )
    group.identities = own["identity"].to_list()
    return group


def read_weights(folder: Path, rows: Sequence[int], which: str) -> dict[str, Tensor]:
    """[R, ...]: the last or the best weights of the runs in these rows; NaN where a run has no such state."""
    if which == "last":
        return _load(folder / "weights.safetensors", rows)
    path = folder / "checkpoints.safetensors"
    best = _below(_load(path, rows, "best/weights/"), "best/weights/")
    has_none = _load(path, rows, "best/epoch")["best/epoch"] < 0
    for tensor in best.values():
        tensor[has_none] = torch.nan if tensor.is_floating_point() else 0
    return best


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


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.touch()
    mode = path.stat().st_mode  # save_file makes a file of its own, readable by its owner alone
    save_file(_apart(tensors), path)
    path.chmod(mode)


def _load(path: Path, rows: Sequence[int], prefix: str = "") -> dict[str, Tensor]:
    """These rows of each tensor whose name begins so, and of the file no more than lies between the first and the last
    of them."""
    first, after = min(rows), max(rows) + 1
    places = np.asarray(rows) - first
    in_order = np.array_equal(places, np.arange(after - first))
    with safe_open(path, framework="pt") as file:
        found = {
            name: file.get_slice(name)[first:after]
            for name in file.keys()  # noqa: SIM118
            if name.startswith(prefix)
        }
    return found if in_order else {name: tensor[torch.as_tensor(places)] for name, tensor in found.items()}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own: safetensors refuses two names of one."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        apart[name] = whole.clone() if whole.untyped_storage().data_ptr() in taken else whole
        taken.add(apart[name].untyped_storage().data_ptr())
    return apart


def _configuration(content: Any) -> DictConfig:
    found = OmegaConf.create(content)
    if not isinstance(found, DictConfig):
        raise TypeError(f"a configuration must be a group of keys, got {content!r:.60}")
    return found
